"""A net as one C99 file that needs no runtime, and the header that is its first part."""
