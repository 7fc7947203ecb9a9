"""torch.export's format."""
