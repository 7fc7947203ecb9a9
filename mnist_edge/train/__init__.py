"""A model is trained, or weights that were trained elsewhere are taken in. Needs torch."""
