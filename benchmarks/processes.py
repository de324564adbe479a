"""Processes of implementations, with the settings of allocation and waiting that serve them."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "OMP_WAIT_POLICY": "passive",
    # threads spin for 2^23 ticks after a call, 3 ms; by default for more than 50 ms, through the
    # turn of the next implementation
    "OPENBLAS_THREAD_TIMEOUT": "23",
    "JAX_PLATFORMS": "cpu",
}
_CPUINFO = Path("/proc/cpuinfo")
# OpenBLAS takes processors newer than itself for Haswell; with AVX-512 its other kernels are faster
if _CPUINFO.exists() and "avx512f" in _CPUINFO.read_text():
    TUNED["OPENBLAS_CORETYPE"] = "SKYLAKEX"
_NUMBERS_OF_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
LONGEST_ANSWER = 900.0  # seconds


@dataclass(frozen=True)
class Implementation:
    """A function that computes quantities, and how its process is started.

    Attributes
    ----------
    module, function : str
        Where it is; the function takes the arguments of a case and `arguments`.
    arguments : dict
        Further arguments.
    environment : dict
        Variables beside `TUNED`; None removes one.
    is_peer : bool
        Whether it runs with the interpreter of the peers.
    """

    module: str
    function: str
    arguments: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)
    is_peer: bool = True


class Worker:
    """One implementation in its process.

    Parameters
    ----------
    name : str
    implementation : Implementation
    python : str
        Interpreter.
    """

    def __init__(self, name, implementation, python=sys.executable):
        self.name, self.implementation, self.missing = name, implementation, None
        self.failures = {}
        variables = {**os.environ, **TUNED, "PYTHONPATH": str(ROOT), **implementation.environment}
        for variable in _NUMBERS_OF_THREADS:
            if variable not in implementation.environment:
                variables.pop(variable, None)
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", implementation.module, implementation.function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={key: value for key, value in variables.items() if value is not None},
            cwd=ROOT,
        )

    def wait_until_ready(self):
        """Wait for the imports; afterwards `missing` says why it can't be used, or is None."""
        self._note(self._read())

    def open(self, arguments):
        """Return the names of the quantities that there are for a case."""
        answer = self._ask({"open": arguments | self.implementation.arguments})
        return answer.get("quantities", [])

    def run(self, quantity, repeat=1, checksum=False):
        """Return {"seconds", ...} of a quantity, or None if it failed."""
        answer = self._ask({"run": quantity, "repeat": repeat, "checksum": checksum})
        if "failed" in answer:
            self.failures[quantity] = answer["failed"]
        return answer if "seconds" in answer else None

    def weigh(self, quantity):
        """Return the peak bytes of a quantity, or None if it failed."""
        answer = self._ask({"weigh": quantity})
        return answer if "traced_bytes" in answer else None

    def close(self):
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except BrokenPipeError:
                continue
        self._process.wait()
        self._errors.close()

    def _ask(self, request):
        if self.missing:
            return {}
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return self._note({})
        return self._note(self._read())

    def _read(self):
        timer = threading.Timer(LONGEST_ANSWER, self._process.kill)
        timer.daemon = True
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        return json.loads(line) if line else {}

    def _note(self, answer):
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines()
            self.missing = f"the process ended: {lines[-1] if lines else 'without a word'}"
        elif "missing" in answer and "quantities" not in answer:
            self.missing = answer["missing"]
        return answer
