"""Whether an artifact gives the checkpoint's answers. Run first, judge later.

The reference is the checkpoint in double precision. `formats.parity.compare` judges two sets of
logits and `decide` says what their difference does to the answers: both are pure. `verify` runs the
bundle's reference digits and the test set, `matrix` every way in which an artifact may be run, and
`verify_thoroughly` all of it.
"""

from mnist_edge.verify.decisions import Decisions, Flip, decide
from mnist_edge.verify.matrix import Matrix, Setting, run_matrix
from mnist_edge.verify.report import Source, Status, VerifyReport, VerifyRow
from mnist_edge.verify.session import verify
from mnist_edge.verify.thorough import Scrutiny, ThoroughReport, verify_thoroughly

__all__ = [
    "Decisions",
    "Flip",
    "Matrix",
    "Scrutiny",
    "Setting",
    "Source",
    "Status",
    "ThoroughReport",
    "VerifyReport",
    "VerifyRow",
    "decide",
    "run_matrix",
    "verify",
    "verify_thoroughly",
]
