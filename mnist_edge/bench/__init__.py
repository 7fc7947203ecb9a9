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
