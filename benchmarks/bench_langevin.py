"""Ensembles of stochastic paths: aniso against a C reference, JAX, diffrax, torch and torchsde.

    python benchmarks/bench_langevin.py [--quick] [--json FILE] [--plot FILE] [--peer-python PATH]

Every implementation runs in a process of its own, pinned to as many CPUs as it has threads; rounds
are interleaved, so that all see the same load; the median of the rounds counts, after one that
warms up. Absent peers are skipped with a notice. `--plot` draws the throughput against the number
of paths and the dimension.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
IMPLEMENTATIONS = ("aniso", "C", "JAX scan", "diffrax", "torch loop", "torchsde")
SLOW_SECONDS = 4.0


class Worker:
    """One implementation in its process."""

    def __init__(self, python, implementation, threads, scale):
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "JAX_PLATFORMS": "cpu"}
        environment.pop("OMP_NUM_THREADS", None)
        self.process = subprocess.Popen(
            [python, str(HERE / "langevin_worker.py"), implementation, str(threads), str(scale)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip
        self.implementation, self.threads = implementation, threads
        first = self._read()
        self.missing = first.get("missing")
        self.quantities = first.get("quantities", [])

    def _read(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"missing": "the process ended"}

    def measure(self, quantity):
        """One run: {"seconds", "path_steps"}, or None if the process has died of it."""
        try:
            self.process.stdin.write(quantity + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self._read()
        return answer if "seconds" in answer else None

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def measured(options):
    """Records of all implementations and numbers of threads."""
    workers = []
    for implementation in IMPLEMENTATIONS:
        python = sys.executable if implementation in ("aniso", "C") else options.peer_python
        for threads in options.threads:
            worker = Worker(python, implementation, threads, 10 if options.quick else 1)
            if worker.missing:
                print(f"skipped: {implementation} ({worker.missing})")
                break
            workers.append(worker)
    results = []
    quantities = dict.fromkeys(q for worker in workers for q in worker.quantities)
    chosen = list(options.only or quantities)
    times = {quantity: {} for quantity in chosen}
    # rounds outermost: all quantities of all implementations see the same load
    for _ in range(options.rounds + 1):
        for quantity in chosen:
            for worker in workers:
                own = times[quantity].setdefault(worker, [])
                slow = len(own) > 1 and own[-1]["seconds"] > SLOW_SECONDS
                if quantity in worker.quantities and not slow:
                    answer = worker.measure(quantity)
                    if answer is not None:
                        own.append(answer)
    for quantity in chosen:
        for worker, own in times[quantity].items():
            kept = own[1:]
            if not kept:
                continue
            seconds = statistics.median(run["seconds"] for run in kept)
            each = statistics.median(1e9 * run["seconds"] / run["path_steps"] for run in kept)
            results.append(
                {
                    "quantity": quantity, "implementation": worker.implementation,
                    "threads": worker.threads, "seconds": seconds,
                    "path_steps": kept[0]["path_steps"], "nanoseconds_per_path_step": each,
                    "first_seconds": own[0]["seconds"], "rounds": len(kept),
                }
            )  # fmt: skip
            print(
                f"  {quantity:24s} {worker.implementation:11s} {worker.threads} threads "
                f"{each:12.2f} ns per path-step {seconds:10.4f} s",
                flush=True,
            )
    for worker in workers:
        worker.close()
    return results


def plot(results, path):
    """Throughput against the number of paths and the dimension."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), layout="constrained", sharey=True)
    for axis, prefix, label in zip(
        axes, ("paths_", "dimension_"), ("paths, $D$ = 10", "dimension $D$"), strict=True
    ):
        for threads, style in ((1, {"color": "#0072B2"}), (2, {"color": "#D55E00"})):
            points = sorted(
                (int(record["quantity"].removeprefix(prefix)),
                 1e3 / record["nanoseconds_per_path_step"])
                for record in results
                if record["quantity"].startswith(prefix) and record["threads"] == threads
            )  # fmt: skip
            if points:
                name = "1 thread" if threads == 1 else f"{threads} threads"
                axis.loglog(*zip(*points, strict=True), "o-", ms=4, label=name, **style)
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("million path-steps per second")
    axes[1].legend(frameon=False)
    figure.savefig(path, dpi=200)


def main(arguments=None):
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the paths, one round")
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--plot", type=Path, help="where to draw the throughput")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter of the peers")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--only", nargs="+", help="quantities to measure")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    for target in (options.json, options.plot):
        if target and not target.parent.is_dir():
            parser.error(f"{target} can't be written: its folder does not exist")
    if options.quick:
        options.rounds = 1
    before = os.getloadavg()
    results = measured(options)
    if options.json:
        environment = {
            "python": platform.python_version(), "processor": _processor(),
            "cores": os.cpu_count(), "load_before": before, "load_after": os.getloadavg(),
        }  # fmt: skip
        options.json.write_text(
            json.dumps({"results": results, "environment": environment}, indent=1)
        )
    if options.plot:
        plot(results, options.plot)


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
