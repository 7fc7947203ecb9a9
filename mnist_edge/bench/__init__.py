"""Measure artifacts against each other, and say how sure the differences are.

Every row is measured in fresh processes of its own, interleaved in an order that is random but
balanced. What comes out is data; tables and sentences are made of it elsewhere.

`subject` says what a row is, `timing` and `measure` what happens in one process, `apart` and
`worker` are the two ends of that process, `session` runs them all, `rows` and `report` are what
comes out, `judge` whether to believe it, `roofline` what the machine could do at most, `compare`
two reports side by side, and `selftest` the benchmark of the benchmark.
"""

from mnist_edge.bench.compare import Comparison, compare_reports, read_report
from mnist_edge.bench.report import BenchReport, Measurement, Paced, Throughput, Verdict
from mnist_edge.bench.roofline import Ceiling, measure_ceiling
from mnist_edge.bench.selftest import SelfTest, self_test
from mnist_edge.bench.session import bench, measure_subjects, plan
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
    "plan",
    "read_report",
    "self_test",
]
