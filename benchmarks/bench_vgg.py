"""VGG-11 at full width in single precision: aniso against PyTorch, and memory against data.

    python benchmarks/bench_vgg.py [--quick] [--rounds 5] [--json FILE] [--plot FILE]

Gradient and per-example gradient norms of a batch of 100, every implementation in a process of its
own with the allocation settings that serve it best, rounds interleaved, medians; then the images a
second of aniso's gradient for batches of 1 to 1,000, and the peak memory of the streamed Tr Sigma
and its diagonal for up to 25,000 images within a stated budget. Absent peers are skipped.
"""

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from bench_curvature import TUNED, _processor

HERE = Path(__file__).parent
BATCH = 100
BATCHES = (1, 3, 10, 30, 100, 300, 1000)
IMPLEMENTATIONS = ("aniso", "torch eager", "torch.func", "BackPACK")
BUDGET = 400_000_000
WIDTH = 1 / 8
SIZES = (1000, 5000, 25000)


def images(count, rng):
    """Smooth enough: speed and memory do not depend on the pixels."""
    return rng.standard_normal((count, 3, 32, 32), dtype=np.float32), rng.integers(0, 10, count)


# ---- implementations, each in its own process


def aniso():
    """The layer engine."""
    from aniso import networks
    from aniso.networks import (
        StreamedGradients,
        initialisation,
    )
    from aniso.problems import losses

    rng = np.random.default_rng(0)
    model = networks.vgg11()
    theta = initialisation.he_normal(model, rng).astype(np.float32)

    def network(count):
        return networks.Network(
            model, losses.SoftmaxCrossEntropy(), *images(count, rng), dtype=np.float32
        )

    own = network(BATCH)
    found = {
        "gradient": lambda: own.gradient(theta),
        "square norms": lambda: StreamedGradients(own, theta).square_norms(),
    }
    for count in BATCHES:
        sized = network(count)
        found[f"gradient of {count}"] = lambda sized=sized: sized.gradient(theta)
    return found


def torch_model():
    """The same network as users write it."""
    import torch
    from torch import nn

    layers, channels = [], 3
    for group in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for width in group:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(512, 10))
    inputs, targets = images(BATCH, np.random.default_rng(0))
    return model, torch.tensor(inputs), torch.tensor(targets)


def torch_eager():
    """Backward pass; norms by a loop over the examples."""
    from torch.nn.functional import cross_entropy

    model, inputs, targets = torch_model()

    def gradient():
        model.zero_grad()
        cross_entropy(model(inputs), targets).backward()

    return {"gradient": gradient}


def torch_functional():
    """vmap of the gradient, in the chunks that were fastest of 1, 2, 5, 10, 25."""
    import torch
    from torch.func import functional_call, grad, vmap
    from torch.nn.functional import cross_entropy

    model, inputs, targets = torch_model()
    parameters = {k: v.detach() for k, v in model.named_parameters()}

    def loss(own, x, y):
        return cross_entropy(functional_call(model, own, (x[None],)), y[None])

    rows = vmap(grad(loss), (None, 0, 0))

    def norms(chunk):
        parts = []
        for start in range(0, BATCH, chunk):
            block = slice(start, start + chunk)
            found = rows(parameters, inputs[block], targets[block])
            parts.append(sum(v.flatten(1).square().sum(1) for v in found.values()))
        return torch.cat(parts)

    return {
        f"square norms, chunks of {chunk}": lambda chunk=chunk: norms(chunk) for chunk in (2, 10)
    }


def backpack():
    """BatchL2Grad, which forms no gradients of dense layers."""
    from backpack import backpack as extended
    from backpack import extend
    from backpack.extensions import BatchL2Grad
    from torch import nn

    model, inputs, targets = torch_model()
    model, loss = extend(model), extend(nn.CrossEntropyLoss(reduction="sum"))

    def norms():
        model.zero_grad()
        with extended(BatchL2Grad()):
            loss(model(inputs), targets).backward()
        return sum(p.batch_l2 for p in model.parameters())

    return {"square norms": norms}


MAKERS = dict(zip(IMPLEMENTATIONS, (aniso, torch_eager, torch_functional, backpack), strict=True))


def serve(implementation):
    """Answer names of quantities on standard input with seconds."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        found = MAKERS[implementation]()
    except ImportError as error:
        found = {}
        print(json.dumps({"missing": str(error)}), file=channel, flush=True)
        return
    print(json.dumps({"quantities": list(found)}), file=channel, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        found[line.strip()]()
        print(json.dumps(time.perf_counter() - start), file=channel, flush=True)


def measure_memory(count):
    """Peak memory of Tr Sigma and diag Sigma of `count` images within the budget, and seconds."""
    from aniso import networks
    from aniso.matrices import gradient_covariance
    from aniso.networks import (
        StreamedGradients,
        initialisation,
    )
    from aniso.problems import losses

    rng = np.random.default_rng(0)
    model = networks.vgg11(width=WIDTH)
    theta = initialisation.he_normal(model, rng).astype(np.float32)
    inputs, targets = images(count, rng)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    network = networks.Network(
        model,
        losses.SoftmaxCrossEntropy(),
        inputs,
        targets,
        dtype=np.float32,
        memory_budget=BUDGET,
    )
    noise = gradient_covariance(StreamedGradients(network, theta))
    noise.trace()
    noise.diagonal()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "num_images": count,
        "data_bytes": inputs.nbytes,
        "grown_bytes": peak - before,
        "seconds": seconds,
    }


# ---- the driver


class Worker:
    """One implementation in its process."""

    def __init__(self, python, implementation):
        self.implementation = implementation
        environment = {**os.environ, **TUNED, "PYTHONPATH": f"{HERE}:{HERE.parent}"}
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [python, __file__, "--serve", implementation],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment,
        )  # fmt: skip
        first = self.process.stdout.readline()
        answer = json.loads(first) if first else {"missing": "the process ended"}
        self.missing, self.quantities = answer.get("missing"), answer.get("quantities", [])

    def measure(self, quantity):
        """Seconds of one run."""
        print(quantity, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()


def measured(options):
    """Median seconds by implementation and quantity."""
    workers = []
    for implementation in IMPLEMENTATIONS:
        python = sys.executable if implementation == "aniso" else options.peer_python
        worker = Worker(python, implementation)
        if worker.missing:
            print(f"skipped: {implementation} ({worker.missing})")
        else:
            workers.append(worker)
    times = {}
    rounds = 1 if options.quick else options.rounds
    for number in range(rounds + 1):  # the first is the warm-up
        for worker in workers:
            for quantity in worker.quantities:
                if options.quick and quantity.endswith(tuple(map(str, BATCHES[2:]))):
                    continue
                own = times.setdefault((worker.implementation, quantity), [])
                if own and own[0] > 10 and number > 1:  # slow ones twice
                    continue
                own.append(worker.measure(quantity))
    for worker in workers:
        worker.close()
    results = []
    for (implementation, quantity), own in times.items():
        seconds = statistics.median(own[1:])
        results.append({"implementation": implementation, "quantity": quantity, "seconds": seconds})
        print(f"  {quantity:28s} {implementation:12s} {1e3 * seconds:10.1f} ms")
    return results


def memory_of(count):
    """The memory measurement in a process of its own."""
    answer = subprocess.run(
        [sys.executable, __file__, "--memory", str(count)],
        env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(answer.stdout)
    print(
        f"  {count:6d} images ({found['data_bytes'] / 1e6:.0f} MB): peak "
        f"{found['grown_bytes'] / 1e6:.0f} MB of a budget of {BUDGET / 1e6:.0f} MB, "
        f"{1e6 * found['seconds'] / count:.0f} us an image"
    )
    return found


def draw(content, path):
    """Images a second against the batch, and peak memory against the number of images."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(7.2, 2.8), layout="constrained")
    left, right = canvas.subplots(1, 2)
    own = [r for r in content["results"] if r["quantity"].startswith("gradient of")]
    batches = [int(r["quantity"].split()[-1]) for r in own]
    speeds = [b / r["seconds"] for b, r in zip(batches, own, strict=True)]
    left.loglog(batches, speeds, "o-", color="#0072B2", label="aniso")
    for entry in content["results"]:
        if (entry["implementation"], entry["quantity"]) == ("torch eager", "gradient"):
            left.loglog(BATCH, BATCH / entry["seconds"], "s", color="#D55E00", label="PyTorch")
    left.set(xlabel="batch size", ylabel="images a second", title="gradient of VGG-11, full width")
    left.legend(frameon=False)
    counts = [m["num_images"] for m in content["memory"]]
    right.loglog(
        counts, [m["data_bytes"] / 1e6 for m in content["memory"]], "s--", color="#7F7F7F",
        label="the images themselves",
    )  # fmt: skip
    right.loglog(
        counts, [m["grown_bytes"] / 1e6 for m in content["memory"]], "o-", color="#0072B2",
        label=r"peak of Tr $\Sigma$ and diag $\Sigma$",
    )  # fmt: skip
    right.axhline(BUDGET / 1e6, color="black", lw=0.8, ls=":", label="budget")
    right.set(xlabel="images", ylabel="MB", title="memory, width 1/8")
    right.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.93))
    _plain_ticks(left.xaxis, BATCHES)
    _plain_ticks(left.yaxis, (10, 20, 50, 100, 200))
    _plain_ticks(right.xaxis, SIZES)
    _plain_ticks(right.yaxis, (10, 20, 50, 100, 200, 400))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    canvas.savefig(path, dpi=200)


def _plain_ticks(axis, values):
    axis.set_ticks(values, [f"{value:,}" for value in values])
    axis.set_ticks([], minor=True)


def main(arguments=None):
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, the smallest sizes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--plot", type=Path, help="where to draw them")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter of the peers")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        return serve(options.serve)
    if options.memory:
        return print(json.dumps(measure_memory(options.memory)))
    content = {
        "results": measured(options),
        "memory": [memory_of(count) for count in SIZES[: 1 if options.quick else None]],
        "environment": {
            "processor": _processor(), "cores": os.cpu_count(), "load": os.getloadavg(),
            "tuning": TUNED, "budget_bytes": BUDGET, "memory_width": WIDTH,
        },
    }  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        draw(content, options.plot)


if __name__ == "__main__":
    main()
