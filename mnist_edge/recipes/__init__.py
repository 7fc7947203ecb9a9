"""What is asked for, as frozen dataclasses."""
