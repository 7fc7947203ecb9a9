"""What every reader of a file of others gives, and what its owner may say of it."""

from __future__ import annotations

from dataclasses import dataclass

from mnist_edge.bundle.imported import Kind, Norm


@dataclass(frozen=True, kw_only=True)
class ForeignNet:
    """A net of others, or one of the nets that a file of others may hold.

    Attributes:
        graph: an ONNX model of one picture or more, as the file has it: any layout, type and end.
        said: what the file is, for people, such as "an ONNX model" or "a Keras model: 784-128-10".
        kind: of the file.
        guessed: what stands between its layers, for people, where its file does not say so.
        vague: whether that is so much that the digits may settle on another net.
        side: of its picture, where the file may hold several nets, which are all made alike.
    """

    graph: bytes
    said: str
    kind: Kind
    guessed: str = ""
    vague: bool = False
    side: int = 0


@dataclass(frozen=True, kw_only=True)
class Forced:
    """What the user says of the contract, and what is not to be tried; None where he is silent."""

    norm: Norm | None = None
    inverted: bool | None = None
    transposed: bool | None = None

    @classmethod
    def of(
        cls,
        mean: float | None,
        std: float | None,
        *,
        inverted: bool | None = None,
        transposed: bool | None = None,
    ) -> Forced:
        """From options; a mean or a deviation alone leaves the other as it is in our pictures."""
        norm = None
        if mean is not None or std is not None:
            norm = Norm(mean=mean or 0.0, std=1.0 if std is None else std)
            # Whoever names a normalisation has thought of the rest.
            inverted, transposed = bool(inverted), bool(transposed)
        return cls(norm=norm, inverted=inverted, transposed=transposed)

    @property
    def complete(self) -> bool:
        """Whether no digits are needed to tell the normalisation."""
        return self.norm is not None


NOTHING = Forced()
"""That the user says: all is found on digits."""
