"""How fast this machine could be at most: multiply-adds and memory copies, measured.

The roof is that of S. Williams, A. Waterman, D. Patterson, "Roofline", 2009. The peak comes from a
loop of independent fused multiply-adds in registers, which needs a C compiler. The rate of a
library's matrix product is not the peak; where there is no compiler, the peak is left unknown.
"""

from __future__ import annotations

import ctypes
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mnist_edge.errors import MnistEdgeError
from mnist_edge.formats.c.compiler import compile_library, find_compiler

_KERNEL = """
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define SUMS 12  /* two units with a latency of four cycles want eight; the more the better */
typedef float row __attribute__((vector_size(LANES * sizeof(float))));

/* Multiply-adds per repetition. */
int width(void) { return LANES * SUMS; }

float repeat(long count, float factor, float term) {
  row sums[SUMS], factors, terms, all;
  for (int lane = 0; lane < LANES; lane++) factors[lane] = factor, terms[lane] = term;
  for (int i = 0; i < SUMS; i++) sums[i] = terms * (float)i;
  for (long n = 0; n < count; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * factors + terms;
  }
  all = sums[0];
  for (int i = 1; i < SUMS; i++) all += sums[i];
  float total = 0;
  for (int lane = 0; lane < LANES; lane++) total += all[lane];
  return total;
}
"""

_ATTEMPTS = 5
_REPEATS = 2_000_000
# Beyond every cache.
_COPY_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What no program of so many threads can exceed on this machine's CPU.

    Attributes:
        threads: that worked at once.
        multiply_adds_per_s: in float32; 0 where unknown, and `reason` tells why.
        copy_bytes_per_s: read and written, between places in memory beyond the caches.
    """

    threads: int = 1
    multiply_adds_per_s: float = 0.0
    reason: str = "not measured"
    copy_bytes_per_s: float = 0.0


UNKNOWN_CEILING = Ceiling()


def measure_ceiling(threads: int = 1) -> Ceiling:
    """Measure the peak and the bandwidth, in about half a second a thread count."""
    copy_bytes_per_s = _copy_bandwidth(threads)
    try:
        rate = _peak(threads)
    except (OSError, MnistEdgeError) as error:
        return Ceiling(threads=threads, reason=str(error), copy_bytes_per_s=copy_bytes_per_s)
    return Ceiling(
        threads=threads,
        multiply_adds_per_s=rate,
        reason="",
        copy_bytes_per_s=copy_bytes_per_s,
    )


def _peak(threads: int) -> float:
    with tempfile.TemporaryDirectory() as scratch:  # nothing is kept: it is built in no time
        built = compile_library(_KERNEL.encode(), find_compiler(), Path(scratch))
        library = ctypes.CDLL(str(built))
    kernel = library.repeat
    kernel.restype = ctypes.c_float
    kernel.argtypes = (ctypes.c_long, ctypes.c_float, ctypes.c_float)
    # ctypes lets go of the interpreter's lock, so the threads do run at once.
    fastest_s = _fastest(threads, lambda: kernel(_REPEATS, 0.5, 1.0))
    return float(threads * _REPEATS * library.width() / fastest_s)


def _copy_bandwidth(threads: int) -> float:
    size = _COPY_BYTES // threads
    pairs = [(np.ones(size, np.uint8), np.zeros(size, np.uint8)) for _ in range(threads)]
    free = iter(pairs * (_ATTEMPTS + 1))

    def copy() -> None:
        source, target = next(free)
        np.copyto(target, source)

    return 2 * size * threads / _fastest(threads, copy)


def _fastest(threads: int, work: Callable[[], object]) -> float:
    """Seconds in which as many threads as asked for do `work` once each, at best."""
    durations_s = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ATTEMPTS):
            start = time.perf_counter()
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()
            durations_s.append(time.perf_counter() - start)
    return min(durations_s)
