"""What lies on disk: a folder with a manifest, and what the manifest names."""
