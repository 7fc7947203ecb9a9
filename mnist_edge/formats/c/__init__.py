"""Plain C."""
