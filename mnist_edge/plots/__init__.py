"""Reports to figures, as PNG bytes. Drawn through matplotlib's objects: no display, no state.

The same input gives the same bytes, whatever the user's own settings of matplotlib.
"""
