"""The picture contract in C: what `picture/` does with a picture of one digit, step by step."""

READING = (
    "base.c",
    "rescale.c",
    "light.c",
    "paper.c",
    "parts.c",
    "straight.c",
    "lines.c",
    "faint.c",
    "layout.c",
    "digit.c",
    "page.c",
    "memory.c",
)
"""Its files, each of which needs those before it."""
