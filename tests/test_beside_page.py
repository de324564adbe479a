"""The programs beside other packages: each that is installed runs, and the answers agree."""

import numpy as np
import pytest
from scipy.sparse import linalg

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from benchmarks import beside  # noqa: E402

# of PyTorch and of the packages themselves
pytestmark = pytest.mark.filterwarnings("ignore")
PROGRAMS = beside.programs(beside.PAGE.read_text(encoding="utf-8"))
SMALL = {
    "model": [("num_images, width = 300, 16", "num_images, width = 40, 4")],
    "equation": [("num_paths, num_steps = 20_000, 100", "num_paths, num_steps = 2_000, 50")],
}
CENTRING = 0.01
"""What the mean gradient adds to the uncentred trace, relatively, at least."""
INSTALLED = [key for key in PROGRAMS if beside.is_installed(key[1])]


def names_of(task, package):
    return beside.defined(package, PROGRAMS[task, package], SMALL[task])


@pytest.fixture(scope="module")
def exact():
    """λ₁ and Tr(HΣ₁) from gradients and products by two backward passes, one at a time."""
    names = names_of("model", "aniso")
    model, loss, inputs, labels = (names[key] for key in ("model", "loss", "inputs", "labels"))
    parameters = list(model.parameters())

    def gradient(x, y, **settings):
        parts = torch.autograd.grad(loss(model(x), y), parameters, **settings)
        return torch.cat([part.flatten() for part in parts])

    def product(vector):
        slope = gradient(inputs, labels, create_graph=True) @ torch.from_numpy(vector.ravel())
        return torch.cat([p.flatten() for p in torch.autograd.grad(slope, parameters)]).numpy()

    rows = [gradient(x[None], y[None]).numpy() for x, y in zip(inputs, labels, strict=True)]
    rows = np.array(rows) - np.mean(rows, axis=0)
    alignment = np.mean([row @ product(row) for row in rows])
    size = rows.shape[1]
    operator = linalg.LinearOperator((size, size), product, dtype=float)
    return linalg.eigsh(operator, k=1, which="LA", tol=1e-8)[0][0], alignment


def test_the_page_has_a_program_for_each_package():
    assert {package for _, package in PROGRAMS} == set(beside.DISTRIBUTIONS)
    assert {("model", "aniso"), ("model", "torch.func"), ("equation", "aniso")} <= set(INSTALLED)


def alignment_of(found):
    """A number, or the value of an estimate."""
    return getattr(found, "value", found)


@pytest.mark.parametrize("package", [name for task, name in INSTALLED if task == "model"])
def test_a_program_has_the_curvature_and_the_alignment(package, exact):
    leading, alignment = names_of("model", package)["answer"]()
    # power iterations stop early; random estimates deflate most of forty examples
    assert float(leading) == pytest.approx(exact[0], rel=1e-3)
    assert alignment_of(alignment) == pytest.approx(exact[1], rel=CENTRING / 2)


@pytest.mark.parametrize("package", [name for task, name in INSTALLED if task == "equation"])
def test_a_program_has_the_mean_loss(package):
    names = names_of("equation", package)
    # L of one path has the standard deviation E L times at most √2; Euler's error is below 5 %
    assert names["answer"]() == pytest.approx(names["exact"], rel=0.05 + 4 * (2 / 2000) ** 0.5)


def test_a_program_without_centring_would_be_found(exact):
    source = PROGRAMS["model", "torch.func"]
    wrong = [*SMALL["model"], ("rows = rows - rows.mean(0)", "rows = rows")]
    _, alignment = beside.defined("torch.func", source, wrong)["answer"]()
    assert abs(alignment / exact[1] - 1) > CENTRING
    with pytest.raises(ValueError, match="has no 'absent'"):
        beside.defined("torch.func", source, [("absent", "")])


def test_the_table_names_versions_and_times():
    times = {("model", "torch.func"): 1.5}
    found = beside.table({("model", "torch.func"): 2.5}, times).splitlines()
    version = torch.__version__.partition("+")[0]
    assert found[-1].startswith("| λ₁ and Tr(HΣ₁) of a model | torch.func | ")
    assert version in found[-1]
    assert found[-1].endswith("| 2.5 s | 1.5 s |")
