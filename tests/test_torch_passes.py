"""Passes of PyTorch problems: their chunks and ways by timing, and products that stay tensors."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_cases  # noqa: E402

from aniso import checks, frameworks, matrices  # noqa: E402
from aniso.arrays import places  # noqa: E402
from aniso.frameworks import _torch_checks, _torch_products  # noqa: E402
from aniso.frameworks._torch_gradients import TorchGradients  # noqa: E402

PLACES = [pytest.param("cpu", id="cpu")]
if torch.cuda.is_available():
    PLACES.append(pytest.param("cuda", id="cuda", marks=pytest.mark.gpu))


def problem_of(kind="layer normalisation", device="cpu", **settings):
    model, data = torch_cases.made(kind).double().to(device), torch_cases.data()
    loss = torch.nn.CrossEntropyLoss()
    return frameworks.from_torch(model, loss, data, engine="torch", **settings)


def tensor_gradients(problem, device):
    """Gradients whose vectors, weights and results are tensors on the device."""
    place = places.place_of(torch.empty(0, device=device))
    return TorchGradients(problem, problem.initial_theta, place)


@pytest.mark.parametrize("device", PLACES)
@pytest.mark.parametrize("chunk_size", [None, 2])
def test_gradients_of_the_examples_stay_tensors_on_their_device(device, chunk_size, rng):
    problem = problem_of(device=device, chunk_size=chunk_size)
    gradients = tensor_gradients(problem, device)
    rows = problem.per_example_gradients(problem.initial_theta)
    assert isinstance(rows, np.ndarray)
    vectors, weights = rng.standard_normal((rows.shape[1], 19)), rng.standard_normal((18, 5))

    def there(array):
        return torch.as_tensor(array, device=device)

    for found, expected in (
        (gradients.rows(1, 4), rows[1:4]),
        (gradients.project(there(vectors)), rows @ vectors),
        (gradients.combine(there(weights)), weights @ rows),
        (gradients.mean(), rows.mean(axis=0)),
    ):
        assert isinstance(found, torch.Tensor)
        assert not found.requires_grad
        assert found.device.type == device
        np.testing.assert_allclose(found.cpu().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(gradients.square_norms(), (rows**2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(gradients.square_sums(), (rows**2).sum(axis=0), rtol=1e-11)


@pytest.mark.parametrize("device", PLACES)
def test_a_covariance_of_tensors_takes_arrays_and_tensors(device, rng):
    problem = problem_of(device=device)
    noise = matrices.gradient_covariance(tensor_gradients(problem, device))
    rows = problem.per_example_gradients(problem.initial_theta)
    centred = rows - rows.mean(axis=0)
    expected, vector = centred.T @ centred / len(rows), rng.standard_normal(rows.shape[1])
    there = noise @ torch.as_tensor(vector, device=device)
    assert there.device.type == device
    for found in (there.cpu().numpy(), noise @ vector):
        np.testing.assert_allclose(found, expected @ vector, atol=1e-12)
    assert noise.trace() == pytest.approx(np.trace(expected), rel=1e-10)
    np.testing.assert_allclose(noise.diagonal(), np.diag(expected), atol=1e-12)
    np.testing.assert_allclose(noise.to_dense(), expected, atol=1e-12)


def test_no_rows_are_formed_where_products_are_enough(monkeypatch, rng):
    problem = problem_of()
    theta = problem.initial_theta
    noise, vector = problem.at(theta).noise, rng.standard_normal(theta.size)
    monkeypatch.delattr(TorchGradients, "rows")
    assert (noise @ vector).shape == theta.shape
    assert noise.trace() > 0


@pytest.mark.parametrize("kind", torch_cases.MODELS)
def test_every_way_that_was_found_right_gives_the_same(kind, monkeypatch):
    """All ways of one derivative on five examples; the models differ in what they allow."""
    problem = problem_of(kind)
    theta, checked = problem.initial_theta, problem._checked
    vectors = np.cos(np.arange(3 * theta.size)).reshape(-1, 3)
    rows, hessian = problem.per_example_gradients(theta), problem.hessian(theta)
    gradients, scale = problem.example_gradients(theta), np.abs(rows).max()
    # of the first way that is offered, the only one
    for way in checked.hessian_ways:
        monkeypatch.setattr(problem, "_checked", replaced(checked, hessian_ways=(way,)))
        found = problem.hessian_product(theta, vectors)
        np.testing.assert_allclose(found, hessian @ vectors, atol=1e-10, err_msg=way)
    for way in checked.projection_ways:
        monkeypatch.setattr(problem, "_checked", replaced(checked, projection_ways=(way,)))
        found = gradients.project(vectors)
        np.testing.assert_allclose(found, rows @ vectors, atol=1e-11 * scale, err_msg=way)
    weights = vectors.T[:, :5]
    for way in checked.combination_ways:
        monkeypatch.setattr(problem, "_checked", replaced(checked, combination_ways=(way,)))
        found = gradients.combine(weights)
        np.testing.assert_allclose(found, weights @ rows, atol=1e-11 * scale, err_msg=way)
    assert {"backward", "block"} <= {*checked.hessian_ways, *checked.combination_ways}


def replaced(checked, **ways):
    return _torch_checks.replace(checked, **ways)


def test_wrong_ways_are_not_used(monkeypatch):
    """A projection and a combination that are off by 1e-6 are found and left out."""

    def off(way):
        return lambda *arguments: way(*arguments) * (1 + 1e-6)

    for ways in ("PROJECTIONS", "COMBINATIONS", "HESSIAN_PRODUCTS"):
        kept = dict(getattr(_torch_products, ways))
        monkeypatch.setattr(_torch_products, ways, kept | {"block": off(kept["block"])})
    checked = problem_of()._checked
    assert checked.projection_ways == ("forward", "backward")
    assert checked.combination_ways == ("backward",)
    assert "block" not in checked.hessian_ways


def test_a_row_that_is_not_finite_is_refused():
    problem = problem_of("perceptron")
    problem._inputs = problem._inputs.clone()
    problem._inputs[2, 0] = torch.inf
    with pytest.raises(checks.InputError, match="a per-example gradient is not finite"):
        problem.per_example_gradients(problem.initial_theta)


def test_large_rows_whose_sum_overflows_are_finite():
    model = torch.nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight[:] = 0.0
    data = torch.tensor([[3e38], [3e38]]), torch.tensor([[-1.0, -1.0], [-1.0, -1.0]])
    problem = frameworks.from_torch(model, torch.nn.MSELoss(), data, engine="torch")
    rows = problem.per_example_gradients([0.0, 0.0])
    np.testing.assert_allclose(rows, 3e38, rtol=1e-6)


def test_what_was_timed_is_kept_also_for_a_subset(monkeypatch):
    inputs, targets = torch_cases.data()
    data = inputs.repeat(60, 1), targets.repeat(60)
    problem = frameworks.from_torch(
        torch_cases.made("perceptron"), torch.nn.CrossEntropyLoss(), data, engine="torch"
    )
    theta = problem.initial_theta
    vectors = np.ones((theta.size, 4))

    def use(problem):
        problem.gradient(theta)
        problem.hessian_product(theta, vectors)
        problem.hessian_product(theta, vectors[:, 0])
        problem.per_example_gradients(theta)
        problem.at(theta).noise @ vectors

    use(problem)
    found = dict(problem._choices._kept)
    assert {key[0] for key in found} == {
        "gradient",
        "H V, 1 vectors",
        "H V, 4 vectors",
        "rows",
        "G V, 4 vectors",
        "W G, 4 vectors",
    }
    monkeypatch.setattr("aniso.frameworks._timing._fastest", None)  # no second timing
    use(problem)
    use(problem.subset(range(299)))
    assert problem._choices._kept == found
