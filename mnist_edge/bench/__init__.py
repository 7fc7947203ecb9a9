"""Measure artifacts against each other, and say how sure the differences are.

Every row has a process of its own; they take turns, one short block each in every round, and are
all started anew several times. What comes out is data; tables and sentences are made of it
elsewhere.

`subject` says what a row is; `turn` what is said between the two ends of a worker, which are
`apart` and `worker`, with `timing` on the far side; `rounds` lets them take turns, with `seat`,
`budget`, `surroundings` and `energy`; `session` makes a report of that, with `rows`; `run` and
`report` are what comes out, `judge` and `disturbance` whether to believe it, `roofline` what the
machine could do at most, `compare` two reports side by side, `quantization` what smaller
precisions cost and gain, and `selftest` the benchmark of the benchmark.
"""

from mnist_edge.bench.compare import Comparison, compare_reports, read_report
from mnist_edge.bench.report import BenchReport, Measurement, Paced, Throughput, Verdict
from mnist_edge.bench.roofline import Ceiling, measure_ceiling
from mnist_edge.bench.selftest import SelfTest, self_test
from mnist_edge.bench.session import bench, measure_subjects, subjects_of
from mnist_edge.bench.subject import Subject

__all__ = [
    "BenchReport",
    "Ceiling",
    "Comparison",
    "Measurement",
    "Paced",
    "SelfTest",
    "Subject",
    "Throughput",
    "Verdict",
    "bench",
    "compare_reports",
    "measure_ceiling",
    "measure_subjects",
    "read_report",
    "self_test",
    "subjects_of",
]
