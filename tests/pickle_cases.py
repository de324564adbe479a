"""Objects of every class that a user may hold, each with a question that its copy must answer.

Objects of other classes are found inside these.
"""

import os
import tempfile

import numpy as np
import pickle_cases_quantities
from pickle_cases_curvature import CURVATURE
from pickle_cases_frameworks import FRAMEWORKS
from pickle_cases_motion import MOTION
from pickle_cases_networks import NETWORKS
from pickle_objects import (
    VECTOR,
    Case,
    a_check,
    a_factor,
    a_small_geometry,
    a_snapshot,
    an_image_reading,
    bowl,
    gradient,
    network,
    text,
)

from aniso import (
    datasets,
    frameworks,
)
from aniso.datasets import sets
from aniso.problems import (
    activations,
)
from aniso.propositions import (
    deep_alignment,
    deep_search,
    exact_losses,
    falsification,
    fisher_order,
    report,
    small_networks,
    trained_networks,
)
from aniso.propositions import settings as proposition_settings
from aniso.runs import executors, run_directory

CASES = {
    "stored": Case(lambda: run_directory.Stored(3, {"x": VECTOR}, {}), lambda s: s.arrays["x"]),
    "outcome": Case(lambda: executors.run_units(abs, [-1], "serial")[0], text),
    "dataset": Case(lambda: datasets.fashion_mnist(), lambda d: d.train_labels),
    "official files": Case(lambda: sets.FASHION_MNIST, text),
    "drawn geometry": Case(
        lambda: frameworks.from_draws(iter(np.eye(3)), 3), lambda at: at.noise @ np.arange(3.0)
    ),
    "task result": Case(lambda: report.TaskResult("g", "n", (a_check(),), 0.5), text),
    "settings of propositions": Case(lambda: proposition_settings.Settings("quick", 0), text),
    "task": Case(lambda: proposition_settings.Task("name", bowl), lambda task: task.name),
    "worst case": Case(
        lambda: falsification.WorstCase(0.5, VECTOR, (1.0,), 3), lambda found: found.point
    ),
    "order constants": Case(
        lambda: fisher_order.order_constants(a_small_geometry()), lambda c: c.of_examples
    ),
    "Fisher order": Case(
        lambda: fisher_order.fisher_gauss_newton_order(a_small_geometry()), lambda o: o.largest
    ),
    "alignment bound": Case(
        lambda: deep_alignment.deep_alignment_bound(a_small_geometry()), lambda b: b.guaranteed
    ),
    "factor of the curvature": Case(a_factor, lambda f: f.extremes(reached_below=True).largest),
    "extremes": Case(lambda: a_factor().extremes(reached_below=True), lambda e: e.direction),
    "reading of images": Case(an_image_reading, lambda r: r.bound.upper),
    "output case": Case(lambda: exact_losses.OutputCase([1], [[2]], 3), text),
    "deep network": Case(lambda: deep_search.DeepNetwork("tanh"), text),
    "small network": Case(lambda: small_networks.SmallNetwork("logistic"), text),
    "snapshot": Case(a_snapshot, lambda found: found.hessian),
    "readings": Case(lambda: a_snapshot().readings(), text),
    "problem of training": Case(
        lambda: trained_networks.TrainingCase("synthetic", "logistic", "relu", 8, 0), text
    ),
}
CASES |= CURVATURE | NETWORKS | MOTION | FRAMEWORKS
CASES |= {name: Case(*each) for name, each in pickle_cases_quantities.QUANTITIES.items()}
CASES |= {
    f"activation {name}": Case(
        lambda name=name: activations.named(name), lambda found: found.value(VECTOR)
    )
    for name in activations.ACTIVATIONS
}
CASES |= {
    f"network activation {name}": Case(lambda name=name: network(name), gradient)
    for name in ("relu", "leaky_relu", "abs", "hard_tanh", "tanh", "softplus", "gelu")
}


def environment(path):
    """Variables for a process that finds the tests."""
    return os.environ | {"PYTHONPATH": path}


NEVER_HELD = (
    {
        "Iteration": "a Krylov space while it grows",
        "Chain": "the layers of a residual block at one shape of inputs",
        "NoiseArguments": "the noise of one run, as its kernel takes it",
        "Work": "how the cells of one run are computed",
        "RecordedNode": "an operation of a loss while its gradients are formed",
        "Run": "an experiment of langevin between its checks and its cells",
        "PackedMap": "the map of second moments while its eigenvalue is computed",
        "ExampleMotion": "a motion on examples between its checks and its cells",
        "Rule": "an entry of a table in its module",
        "Stage": "a layer during one pass",
        "Processes": "a pool of processes while units run",
        "StepBlocks": "the blocks of steps of one run",
        "Monitor": "writes to a folder, which other processes read by read_record",
        "StepStore": "the folder of a monitor",
    }
    | dict.fromkeys(
        (
            *("Agenda", "DirectGradient", "Need", "Remembered", "SharedResult", "Training"),
            "Unit",
        ),
        "a part of one verification while it runs",
    )
    | dict.fromkeys(
        ("LightningMonitor", "Recorder", "TrainerMonitor"), "has a monitor, in one training"
    )
    | dict.fromkeys(
        ("Ranks", "ShardedGradients", "ShardedProblem"),
        "belongs to a rank of torch.distributed",
    )
    | dict.fromkeys(
        ("Columns", "Deflation", "DiagonalRoot", "Factor", "Identity", "Pilot", "Plan"),
        "a part of an estimate of a trace while it is made",
    )
    | dict.fromkeys(
        ("Boundary", "ExampleChain", "ModelRemainder", "Moments", "SimulatedExits"),
        "a part of a forecast while it is made",
    )
    | dict.fromkeys(
        ("Context", "Found", "Request", "Sizes", "SpaceParts"),
        "a part of a diagnosis while it is measured",
    )
    | dict.fromkeys(
        ("PatchDerivatives", "UnitDerivatives"),
        "derivatives of a stage while the cross-layer matrix is assembled",
    )
    | dict.fromkeys(
        ("Batches", "Equation", "Exits", "Lanes", "Paths", "Progress", "Runs", "Steps", "Sums"),
        "a record of arguments of a compiled kernel",
    )
    | dict.fromkeys(
        (
            *("MaxPoolingPasses", "Part", "ToeplitzMatrix", "ToeplitzPasses"),
            *("TransformedKernels", "WinogradPasses"),
        ),
        "a part of a plan of a network, which is made anew where it is needed",
    )
    | dict.fromkeys(("ChainExits", "ChainLanes"), "a record of exits of chains in a kernel")
    | dict.fromkeys(
        (
            "ActivationMemory",
            "AverageMemory",
            "PoolingMemory",
            "ResidualMemory",
            "PooledMemory",
            "Tiles",
            "Memory",
        ),
        "what a layer keeps of a forward pass until the backward pass",
    )
)
"""Classes whose objects live within one call, and what they are."""

REFUSED = {
    "run directory": lambda: run_directory.RunDirectory(tempfile.mkdtemp(), {}, seed=1),
}
