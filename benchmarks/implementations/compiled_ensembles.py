"""The linear ensemble in C: a limit in reach, compiled here with what compiler there is."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.implementations.ensemble_problems import NUM_STEPS, STEP, linear_problem
from benchmarks.worker import Measured

_CHUNK = 4096


def reference(scale):
    """The linear ensemble by chunks of paths on all cores."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise ImportError("no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "langevin_reference.so")
        source = Path(__file__).with_name("langevin_reference.c")
        options = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
        subprocess.run([compiler, *options, "-o", target, source, "-lm"], check=True)
        function = ctypes.CDLL(str(target)).ornstein_uhlenbeck
    hessian, factor, start = linear_problem()
    matrices = [
        np.ascontiguousarray(matrix)
        for matrix in (np.eye(10) - STEP * hessian, np.sqrt(STEP) * factor, start)
    ]
    threads = os.cpu_count() or 1
    chunks = max(threads, 100_000 // scale // _CHUNK)

    def part(number):
        sums = np.zeros(10)
        pointers = [matrix.ctypes.data_as(ctypes.c_void_p) for matrix in (*matrices, sums)]
        function(
            ctypes.c_uint64(1),
            ctypes.c_uint64(number * _CHUNK),
            ctypes.c_int64(_CHUNK),
            ctypes.c_int64(NUM_STEPS),
            *pointers,
        )
        return sums

    def run():
        with ThreadPoolExecutor(threads) as pool:
            sum(pool.map(part, range(chunks)))
        return Measured(units=chunks * _CHUNK * NUM_STEPS)

    return {"linear": run}
