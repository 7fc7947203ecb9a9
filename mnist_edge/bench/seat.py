"""One row during one restart: its worker, and all that its turns have given so far."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from mnist_edge.bench.run import BatchSamples, PacedSamples, Run, SingleStream, Turns
from mnist_edge.bench.timing import seconds, thinned
from mnist_edge.bench.turn import Block, Opened, Worker


@dataclass(kw_only=True)
class Seat:
    """A worker that has opened its artifact.

    Attributes:
        core: the processor that it is kept on.
        warmup: None until it has warmed up.
        singles: its turns of single pictures.
        batches, resident: its turns by batch size.
        paced: by rate.
        joules: of one picture; 0 where they cannot be read.
    """

    worker: Worker
    opened: Opened
    core: int | None
    warmup: Block | None = None
    singles: list[Block] = field(default_factory=list)
    batches: dict[int, list[Block]] = field(default_factory=dict)
    resident: dict[int, list[Block]] = field(default_factory=dict)
    paced: dict[float, Block] = field(default_factory=dict)
    joules: float = 0.0

    @property
    def run_s(self) -> float:
        """About how long one picture takes."""
        return seconds(statistics.median(self.warmup.samples_ns)) if self.warmup else 0.0

    def run(self, began_ns: int, *, beside: int, rounds: int, keep: int) -> Run:
        """What it measured, for the report.

        Args:
            began_ns: `time.monotonic_ns()` at the beginning of the benchmark.
            beside: the group that it took turns in.
            rounds: how many of them every row of the group has finished.
            keep: samples of each kind, at the most.
        """
        assert self.warmup is not None
        singles = self.singles[:rounds]
        last = [*singles, *(b for blocks in self.batches.values() for b in blocks)][-1]
        single = _batch(1, singles, keep)
        return Run(
            backend=self.opened.backend,
            version=self.opened.version,
            device=self.opened.device,
            timer_overhead_s=self.opened.timer_overhead_s,
            cold=self.opened.cold,
            single=SingleStream(
                warmup_s=thinned(self.warmup.samples_ns, keep),
                runs=sum(len(block.samples_ns) for block in singles),
                samples_s=single.samples_s,
                max_abs_error=last.max_abs_error,
                digits=last.digits,
                flips=last.flips,
                fault=last.fault,
                turns=Turns(
                    began_s=tuple(seconds(block.began_ns - began_ns) for block in singles),
                    medians_s=single.medians_s,
                    first_s=tuple(
                        seconds((*block.settling_ns, *block.samples_ns)[0]) for block in singles
                    ),
                    loop_s=tuple(seconds(block.loop_ns) for block in singles),
                    interruptions=sum(block.interruptions for block in singles),
                ),
            ),
            peak_resident_bytes=singles[-1].resident_bytes,
            batches=tuple(
                single if size == 1 else _batch(size, blocks, keep)
                for size, blocks in self.batches.items()
            ),
            paced=tuple(
                PacedSamples(
                    rate=rate,
                    samples_s=thinned(block.samples_ns, keep),
                    backlog_s=seconds(block.late_ns),
                )
                for rate, block in self.paced.items()
            ),
            resident=tuple(_batch(size, blocks, keep) for size, blocks in self.resident.items()),
            cost=self.opened.cost,
            core=self.core,
            beside=beside,
            built_bytes=self.opened.built_bytes,
            joules=self.joules,
        )


def _batch(size: int, blocks: list[Block], keep: int) -> BatchSamples:
    return BatchSamples(
        batch_size=size,
        samples_s=thinned([ns for block in blocks for ns in block.samples_ns], keep),
        medians_s=tuple(seconds(statistics.median(block.samples_ns)) for block in blocks),
    )
