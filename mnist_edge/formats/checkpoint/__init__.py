"""The weights as they were trained."""
