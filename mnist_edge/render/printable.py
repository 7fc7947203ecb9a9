"""Text of others, such as names of files, that must not steer the terminal that shows it."""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    """The text, each control character and mark of direction as its escape.

    Args:
        text: from a file, its name or its metadata.
        keep: characters that stay, such as line ends.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or _shows(c) else _escaped(c) for c in text)


def _shows(character: str) -> bool:
    import unicodedata  # for which plain text does not wait

    # Blanks that are not the plain one count as not printable.
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
