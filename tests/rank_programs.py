"""Programs of many processes for the tests: ``python rank_programs.py NAME,NAME FOLDER NUM_RANKS``.

One interpreter loads PyTorch and forks the ranks, which meet by gloo at 127.0.0.1. Each rank writes
what it found into the folder. ``torchrun ... rank_programs.py NAME,NAME FOLDER`` does the same.
"""

import datetime
import importlib
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch_cases
from problem_contract import check_problem
from torch import distributed

from aniso import checks, diagnostics, frameworks, matrices, problems  # noqa: F401
from aniso.diagnostics import Diagnosis, Monitor, Reading

KIND = "layer normalisation"
TIMEOUT_S = 20


def full_problem(kind, num_examples=11, loss=None):
    """The problem of all examples, as one process has it."""
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(num_examples, torch_cases.NUM_INPUTS, generator=generator)
    targets = torch.arange(num_examples) % torch_cases.NUM_CLASSES
    return frameworks.from_torch(
        torch_cases.made(kind),
        loss or torch.nn.CrossEntropyLoss(),
        (inputs, targets),
        dtype="float64",
        chunk_size=4,
    )


def own_problem(kind, **options):
    """The sharded problem: the same examples, each rank with its own."""
    full = full_problem(kind, **options)
    return frameworks.sharded(full.subset(frameworks.own_examples(full.num_examples)))


def quantities(problem):
    """What is compared between one process and many, arrays by name."""
    theta = problem.initial_theta
    at, rng = problem.at(theta), np.random.default_rng(5)
    block = rng.standard_normal((theta.size, 3))
    pairs = matrices.leading_eigenpairs(at.hessian, 2, method="block", tolerance=1e-3)
    noise = at.noise.leading_eigenpairs(2)
    mixed = matrices.alignment_hutchinson(at.hessian, at.noise, 8, rng)
    sampled = matrices.alignment_by_examples(at.hessian, at.noise, 4, rng)
    chosen = problem.subset([9, 0, 4, 10, 3])
    return {
        "num_examples": problem.num_examples,
        "loss": problem.loss(theta),
        "losses": problem.losses(theta),
        "gradient": problem.gradient(theta),
        "loss and gradient": np.append(*problem.loss_and_gradient(theta)),
        "H v": at.hessian @ block,
        "Sigma v": at.noise @ block,
        "Tr Sigma": at.noise.trace(),
        "diag Sigma": at.noise.diagonal(),
        "rows": at.example_gradients.rows(2, 9),
        "eigenvalues of H": pairs.values,
        "eigenvalues of Sigma": noise.values,
        "projectors": np.square(noise.vectors.T @ block),
        "Tr(H Sigma)": matrices.alignment(at.hessian, at.noise),
        "Tr(H Sigma), probes": [mixed.value, mixed.standard_error],
        "Tr(H Sigma), examples": [sampled.value, sampled.standard_error],
        "losses of a subset": chosen.losses(theta),
        "noise of a subset": chosen.at(theta).noise @ block,
        "subset without some ranks": problem.subset([0]).gradient(theta),
    }


def measure(problem, theta, *, rng, learning_rate, optimizer):  # noqa: ARG001
    """Tr(H Sigma) by two probes, and the number of this call on this rank."""
    measure.calls += 1
    at = problem.at(theta)
    found = matrices.alignment_hutchinson(at.hessian, at.noise, 2, rng)
    alignment = Reading("alignment", found.value, {"probes": found.standard_error})
    return Diagnosis({"alignment": alignment, "call": Reading("call", measure.calls)})


measure.calls = 0


def monitor(problem, folder):
    return Monitor(folder / "run", problem, steps=range(4), seed=7, measure=measure)


def weighted_loss():
    """A mean that weights classes, of which the ranks have unequal numbers."""
    return torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))


def readings(problem):
    """All numbers of a diagnosis, and the names of what it refused."""
    model = torch_cases.made(KIND).double()
    found = diagnostics.measure(
        problem,
        batch_size=4,
        replacement=False,
        optimizer=torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
        num_pairs=2,
        rng=np.random.default_rng(4),
    )
    return found.scalars() | {"refused": sorted(found.refused)}


# ---- programs: (rank, folder) -> None


def agree(rank, folder):
    """All quantities, and the losses of a weighted mean."""
    found = quantities(own_problem(KIND))
    weighted = own_problem(KIND, loss=weighted_loss())
    found["weighted losses"] = weighted.losses(weighted.initial_theta)
    found["weights differ"] = float("∇l_i − g" in weighted.subset([0, 1]).batch_assumption)
    np.savez(folder / f"found {rank}.npz", **found)


def diagnose(rank, folder):
    """A diagnosis."""
    np.savez(folder / f"diagnosed {rank}.npz", **readings(own_problem(KIND)))


def keep_the_contract(rank, folder):
    """The contract of every problem, on all ranks together."""
    problem = own_problem("perceptron", num_examples=4)
    check_problem(problem, problem.initial_theta, np.random.default_rng(0))
    (folder / f"kept {rank}").touch()


def fail(rank, folder):
    """Failures of one rank that reach all, and rounding that does not: one text a trial."""
    problem, told = own_problem(KIND), {}
    theta = problem.initial_theta
    drawn = np.random.default_rng(rank).standard_normal(theta.size)
    rounded = theta * (1 + 1e-14 * rank)

    def broken(_, kind=ZeroDivisionError):
        raise kind("no gradient here")

    def with_a_broken_share(kind):
        own = problem.local.gradient
        problem.local.gradient = (lambda _: broken(_, kind)) if rank == 1 else own
        try:
            return problem.gradient(theta)
        finally:
            del problem.local.gradient

    trials = {
        "other vectors": lambda: problem.hessian_product(theta, drawn),
        "another call": lambda: (problem.losses if rank else problem.gradient)(theta),
        "a broken share": lambda: with_a_broken_share(ZeroDivisionError),
        "a refusing share": lambda: with_a_broken_share(checks.InputError),
        "a broken first rank": lambda: problem.on_first(lambda: broken(0)),
        "other rounding": lambda: problem.gradient(rounded).tobytes().hex(),
        "of the first rank": lambda: problem.on_first(lambda: f"told by {rank}"),
    }
    for name, trial in trials.items():
        try:
            told[name] = trial()
        except Exception as error:
            told[name] = f"{type(error).__name__}: {error}"
    (folder / f"failed {rank}.json").write_text(json.dumps(told))


def state(rank, folder):
    """Running statistics that changed, on all ranks alike and not: one number or text a trial."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 3)
    )
    data = torch.randn(7, 6), torch.arange(7) % 3
    full = frameworks.from_torch(model.eval(), torch.nn.CrossEntropyLoss(), data, dtype="float64")
    problem = frameworks.sharded(full.subset(frameworks.own_examples(7)))
    model[1].running_mean += 0.5
    now = problem.with_state_of(model)
    theta = now.theta_of(model)
    told = {
        "of all": [now.loss(theta), full.with_state_of(model).loss(theta), problem.loss(theta)],
        "without": [each.without_statistics().loss(theta) for each in (now, full)],
    }
    model[1].running_mean += rank
    try:
        problem.with_state_of(model)
    except checks.InputError as error:
        told["unlike"] = str(error)
    (folder / f"state {rank}.json").write_text(json.dumps(told))


def lose(rank, folder):
    """The last rank is killed between two steps of a run; the others must end with an error."""
    problem = own_problem(KIND)
    theta, watched = problem.initial_theta, monitor(problem, folder)
    for step in (0, 1):
        watched.at_step(step, theta)
    (folder / f"begun {rank}").touch()
    if rank == problem.ranks.size - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    begin = time.monotonic()
    try:
        for step in range(2, 1000):
            watched.at_step(step, theta)
    except frameworks.LostRank as error:
        told = {"error": str(error), "seconds": time.monotonic() - begin}
        (folder / f"told {rank}.json").write_text(json.dumps(told))
        os._exit(3)


def go_on(rank, folder):
    """The run whose rank was killed, to its end."""
    problem = own_problem(KIND)
    watched = monitor(problem, folder)
    begun_with = len(watched.steps)
    for step in range(6):
        watched.at_step(step, problem.initial_theta)
    series = watched.series("alignment")
    np.savez(
        folder / f"went on {rank}.npz",
        begun_with=begun_with,
        calls=watched.series("call").values,
        alignment=[series.values, series.errors],
    )


# ---- the launcher


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run_rank(names, folder, **place):
    torch.set_num_threads(1)
    timeout = datetime.timedelta(seconds=TIMEOUT_S)
    distributed.init_process_group("gloo", timeout=timeout, **place)
    for name in names:
        PROGRAMS[name](distributed.get_rank(), folder)
    distributed.destroy_process_group()


def launch(names, size, folder):
    """Fork the ranks, and return their exit codes; negative for a signal."""
    importlib.import_module("torch._dynamo")  # once, before the ranks are forked
    port, children = free_port(), []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            try:
                place = {"init_method": f"tcp://127.0.0.1:{port}", "rank": rank}
                run_rank(names, folder, world_size=size, **place)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


PROGRAMS = {
    "agree": agree,
    "diagnose": diagnose,
    "keep": keep_the_contract,
    "fail": fail,
    "state": state,
    "lose": lose,
    "go on": go_on,
}

if __name__ == "__main__":
    names, folder = sys.argv[1].split(","), Path(sys.argv[2])
    if "RANK" in os.environ:  # torchrun has started this rank
        run_rank(names, folder)
        os._exit(0)  # PyTorch may abort while the interpreter ends, after all work is done
    else:
        print(json.dumps(launch(names, int(sys.argv[3]), folder)))
