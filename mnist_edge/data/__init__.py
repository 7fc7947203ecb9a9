"""Data sets of digits: found, fetched, drawn."""
