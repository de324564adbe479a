"""What may cross to another process and does: every exception, every result, every model.

Found by a walk over the package, so that a new class is asked for too.
"""

import importlib.util
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import every_module
import executor_units
import numpy as np
import pickle_cases
import pytest
from place_cases import every_foreign_place

import analysis
import aniso
from aniso import estimates, networks
from aniso.arrays import transfer
from aniso.langevin.problems import NonFiniteState
from aniso.problems import losses
from aniso.runs import executors

TESTS = Path(__file__).parent
# a copy may be computed by kernels that another process has compiled: other last bits
ROUNDING = 1e-12


def all_classes():
    for package in (aniso, analysis):
        for module in every_module.modules(package):
            if module.__name__.endswith("__main__"):
                continue
            for value in vars(module).values():
                if inspect.isclass(value) and value.__module__ == module.__name__:
                    yield value


CLASSES = tuple(all_classes())
EXCEPTIONS = [kind for kind in CLASSES if issubclass(kind, BaseException)]


def made(kind):
    """An exception with an argument of its own for each parameter."""
    own = "__init__" in vars(kind)
    names = list(inspect.signature(kind.__init__).parameters)[1:] if own else ["message"]
    return kind(*(f"the {name}" if name == "message" else 7 + i for i, name in enumerate(names)))


@pytest.mark.parametrize("kind", EXCEPTIONS, ids=lambda kind: kind.__name__)
def test_an_exception_keeps_its_text_and_what_it_carries(kind):
    error = made(kind)
    error.add_note("a note")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)


def test_the_walk_finds_the_exceptions():
    assert {estimates.NotConverged, NonFiniteState} < set(EXCEPTIONS)


def test_an_exception_of_a_worker_arrives_after_one_attempt(tmp_path):
    units = [(tmp_path / kind, kind) for kind in ("NotConverged", "NonFiniteState")]
    first, second = executors.run_units(executor_units.raise_what_carries, units, "processes:2")
    assert isinstance(first.error, estimates.NotConverged)
    assert first.error.partial.values.tolist() == [3.0]
    assert isinstance(second.error, NonFiniteState)
    assert (second.error.path, second.error.step) == (3, 9)
    for path, _ in units:
        assert path.read_text() == "begun\n"  # one attempt


def test_what_can_not_be_sent_is_an_error_of_its_unit_and_no_death(tmp_path):
    kinds = ["error", "unsent error", "value", "unsent value", "nothing"]
    units = [(tmp_path / kind, kind) for kind in kinds]
    outcomes = executors.run_units(executor_units.give_what_can_not_be_sent, units, "processes:1")
    assert outcomes[-1].error is None
    told = [str(outcome.error) for outcome in outcomes[:-1]]
    assert all("Stubborn: a reason that is told" in text for text in told[:2])
    assert "no number" in told[2]  # what making the value again said
    assert "pickle" in told[3]
    for path, _ in units:
        assert path.read_text() == "begun\n"  # one attempt


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Answers of copies, each made and asked in another process; the objects and their answers."""
    folder = tmp_path_factory.mktemp("pickles")
    objects = {name: case.make() for name, case in pickle_cases.CASES.items()}
    sent = {name: pickle.dumps(value) for name, value in objects.items()}
    (folder / "sent").write_bytes(pickle.dumps(sent))
    program = (
        "import pickle, sys; from pathlib import Path; import pickle_cases\n"
        "folder = Path(sys.argv[1])\n"
        "sent = pickle.loads((folder / 'sent').read_bytes())\n"
        "answers = {name: pickle_cases.CASES[name].ask(pickle.loads(content))\n"
        "    for name, content in sent.items()}\n"
        "(folder / 'answers').write_bytes(pickle.dumps(answers))\n"
    )
    path = f"{TESTS}:{TESTS.parent}"
    environment = pickle_cases.environment(path)
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True, env=environment)
    answers = pickle.loads((folder / "answers").read_bytes())
    return objects, answers


@pytest.mark.needs_jit
@pytest.mark.parametrize("name", pickle_cases.CASES)
def test_a_copy_in_another_process_gives_the_same_answer(copies, name):
    objects, answers = copies
    expected = pickle_cases.CASES[name].ask(objects[name])
    if isinstance(expected, str):
        assert answers[name] == expected
    else:
        np.testing.assert_allclose(answers[name], expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.needs_jit
def test_every_class_is_in_a_case(copies):
    seen, kinds = set(), set()
    for value in copies[0].values():
        collect(value, seen, kinds)
    kinds |= {type(make()) for make in pickle_cases.REFUSED.values()}
    kinds |= {base for kind in kinds for base in kind.__mro__}
    missing = [
        kind
        for kind in CLASSES
        if kind.__module__.startswith("aniso.")
        and kind not in kinds
        and kind not in EXCEPTIONS
        and not kind.__name__.startswith("_")
        and not getattr(kind, "_is_protocol", False)  # no object is made of it
    ]
    expected = set(pickle_cases.NEVER_HELD)
    if not all(map(importlib.util.find_spec, every_module.OPTIONAL)):
        # classes of frameworks are in cases only where these are installed
        missing = [kind for kind in missing if ".frameworks." not in kind.__module__]
        expected &= {kind.__name__ for kind in missing}
    assert {kind.__name__ for kind in missing} == expected


@every_foreign_place
def test_a_network_elsewhere_arrives_there(place):
    model = networks.Stack(
        (networks.Dense(2), networks.Activation("tanh"), networks.Dense(1)), (3,)
    )
    inputs = transfer.to_device(np.arange(12.0).reshape(4, 3) / 12, place)
    targets = transfer.to_device(np.ones((4, 1)), place)
    network = networks.Network(model, losses.SquaredLoss(), inputs, targets)
    copy = pickle.loads(pickle.dumps(network))
    theta = transfer.to_device(np.linspace(-1, 1, model.num_parameters), place)
    expected = transfer.to_numpy(network.gradient(theta))
    np.testing.assert_array_equal(transfer.to_numpy(copy.gradient(theta)), expected)


def collect(value, seen, kinds):
    """The package's classes that are found inside an object."""
    if id(value) in seen:
        return
    seen.add(id(value))
    kinds.add(type(value))
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    elif type(value).__module__.partition(".")[0] in ("aniso", "analysis"):
        parts = vars(value).values() if hasattr(value, "__dict__") else ()
    else:
        parts = (*getattr(value, "args", ()), getattr(value, "func", None))  # of a partial
    for part in parts:
        collect(part, seen, kinds)


@pytest.mark.parametrize("name", pickle_cases.REFUSED)
def test_what_belongs_to_one_process_says_so(name):
    with pytest.raises(TypeError, match=r"process.*send"):
        pickle.dumps(pickle_cases.REFUSED[name]())


def test_a_region_calls_the_kernel_of_its_own_process():
    """By value numba would compile it anew, with the code of the process that sent it."""
    for name in ("interval", "ball"):
        region = pickle_cases.CASES[name].make()
        content = pickle.dumps(region)
        assert pickle.loads(content).function is region.function
        assert len(content) < 1000
