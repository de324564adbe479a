"""Curvature of networks: aniso against PyTorch, JAX, BackPACK, curvlinops and autograd.

    python benchmarks/bench_curvature.py [--quick] [--json FILE] [--plot FILE]
                                          [--peer-python PATH]

Every implementation runs in a process of its own with the allocation and waiting settings that
serve it best; rounds are interleaved, so that all see the same load; the median of the rounds
counts. Absent peers are skipped with a notice. Where a peer offers no block of the asked size, its
best time per vector stands. The scaling over N is measured for aniso alone. Set FASHION_MNIST to
the folder of the four files for the real images.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import curvature_plot

HERE = Path(__file__).parent
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "OMP_WAIT_POLICY": "passive",
    "JAX_PLATFORMS": "cpu",
}
# OpenBLAS takes processors newer than itself for Haswell; with AVX-512 its other kernels are faster
if "avx512f" in (Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""):
    TUNED["OPENBLAS_CORETYPE"] = "SKYLAKEX"
PEERS = (
    "torch eager", "torch.func", "torch tiled", "BackPACK", "curvlinops", "JAX", "JAX tiled",
    "autograd",
)  # fmt: skip
# a product block is compared per vector with the fastest product of the peer
PER_VECTOR = {
    "hessian_product_block4": 4,
    "hessian_product_block8": 8,
    "hessian_product_block32": 32,
    "hessian_product_block128": 128,
}
SLOW_SECONDS = 4.0


class Worker:
    """One implementation in its process."""

    def __init__(self, python, implementation, model, dtype, num_examples):
        environment = {**os.environ, **TUNED, "PYTHONPATH": str(HERE.parent)}
        if implementation == "aniso" and model == "fashion":
            # its chunks stay small; a dense H is better mapped, with huge pages
            environment["MALLOC_MMAP_THRESHOLD_"] = str(2**25)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [python, str(HERE / "curvature_worker.py"), implementation, model, dtype,
             str(num_examples)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip
        self.implementation = implementation
        first = self._read()
        self.missing = first.get("missing")
        self.quantities = first.get("quantities", [])

    def _read(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"missing": "the process ended"}

    def measure(self, quantity, checksum=False):
        """One run: {"seconds", "peak_bytes"}, or None if the process has died of it."""
        request = json.dumps({"quantity": quantity, "checksum": checksum})
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self._read()
        return answer if "seconds" in answer else None

    def close(self):
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def measured(model, dtype, num_examples, options, peers=PEERS, only=None):
    """Results of one model in one precision."""
    workers = []
    for implementation in ("aniso", *peers):
        own = implementation in ("aniso", "autograd")
        python = sys.executable if own else options.peer_python
        worker = Worker(python, implementation, model, dtype, num_examples)
        if worker.missing:
            print(f"skipped: {implementation} ({worker.missing})")
        elif worker.quantities:
            workers.append(worker)
    results = []
    for quantity in sorted({q for w in workers for q in w.quantities}):
        if only and quantity not in only:
            continue
        times, peaks = {}, {}
        for round_number in range(options.rounds + 1):  # the first is the warm-up
            for worker in workers:
                own = times.setdefault(worker.implementation, [])
                slow = own and own[0] > SLOW_SECONDS
                if quantity not in worker.quantities or (slow and len(own) > options.slow_rounds):
                    continue
                answer = worker.measure(quantity, checksum=round_number == 0)
                if answer is not None:
                    own.append(answer["seconds"])
                    peaks[worker.implementation] = answer["peak_bytes"]
        for implementation, own in times.items():
            if own:
                seconds = statistics.median(own[1:] or own) / PER_VECTOR.get(quantity, 1)
                results.append(
                    {
                        "quantity": quantity, "model": model, "num_examples": num_examples,
                        "dtype": dtype, "implementation": implementation, "seconds": seconds,
                        "rounds": max(1, len(own) - 1),
                        "peak_bytes": peaks[implementation],
                    }
                )  # fmt: skip
                print(f"  {quantity:28s} {implementation:12s} {1e3 * seconds:12.3f} ms", flush=True)
    for worker in workers:
        worker.close()
    return results


def main(arguments=None):
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="300 examples, one round")
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--plot", type=Path, help="where to draw them")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter of the peers")
    parser.add_argument("--models", nargs="+", default=["fashion", "hidden512", "mlp"])
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--sizes", nargs="+", type=int, help="numbers of examples")
    parser.add_argument("--only", nargs="+", help="quantities to measure")
    parser.add_argument("--own", action="store_true", help="aniso alone")
    parser.add_argument("--scaling", nargs="*", type=int, default=[300, 6000], help="further N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=2)
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.slow_rounds, options.scaling = 1, 0, []
    for target in (options.json, options.plot):
        if target and not target.resolve().parent.is_dir():
            parser.error(f"{str(target)!r}: expected a file in a folder that exists")
    results, peers = [], () if options.own else PEERS
    for model in options.models:
        standard = [300] if options.quick else [1000 if model == "hidden512" else 1200]
        for num_examples in options.sizes or standard:
            for dtype in options.dtypes:
                print(f"{model}, N = {num_examples}, {dtype}", flush=True)
                results += measured(model, dtype, num_examples, options, peers, options.only)
    if "fashion" in options.models and "float64" in options.dtypes:
        scaled = [q for q in curvature_plot.SCALED if not options.only or q in options.only]
        for num_examples in options.scaling:
            print(f"fashion, N = {num_examples}, float64, aniso alone", flush=True)
            results += measured("fashion", "float64", num_examples, options, (), scaled)
    if options.plot:
        curvature_plot.draw(results, options.plot)
    if options.json:
        environment = {
            "python": platform.python_version(), "processor": _processor(),
            "cores": os.cpu_count(), "load": os.getloadavg(), "tuning": TUNED,
        }  # fmt: skip
        options.json.write_text(
            json.dumps({"results": results, "environment": environment}, indent=1)
        )


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
