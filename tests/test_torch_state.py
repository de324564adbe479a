"""What a PyTorch model has beside theta: buffers and fixed parameters that a training changes."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import seeds  # noqa: E402
import torch_cases  # noqa: E402

from aniso import checks, diagnostics, frameworks  # noqa: E402

LOSS = torch.nn.CrossEntropyLoss()


def normalised():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Tanh(), torch.nn.Linear(5, 3)
    ).eval()


def stepped(model, data):
    """A step of SGD in training mode, which moves the running statistics too."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    LOSS(model(data[0]), data[1]).backward()
    optimizer.step()
    return model


def anew(model, data, **options):
    """The problem of the model as it is now."""
    return frameworks.from_torch(copy.deepcopy(model).eval(), LOSS, data, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_running_statistics_of_a_trained_model_are_taken_or_refused(dtype):
    model, data = normalised(), torch_cases.data()
    problem = frameworks.from_torch(model, LOSS, data, dtype=dtype)
    start = problem.theta_of(model)
    stepped(model, data)
    with pytest.raises(checks.InputError, match=r"'1.running_mean' and 1 more.*with_state_of"):
        problem.theta_of(model)
    now, expected = problem.with_state_of(model), anew(model, data, dtype=dtype)
    theta = now.theta_of(model)
    np.testing.assert_array_equal(theta, expected.initial_theta)
    assert now.loss(theta) == expected.loss(theta) != problem.loss(theta)
    direction = np.cos(np.arange(len(theta)))
    tolerance = {"float32": 1e-5, "float64": 1e-13}[dtype]
    for found, same in (
        (now.gradient(theta), expected.gradient(theta)),
        (now.hessian_product(theta, direction), expected.hessian_product(theta, direction)),
    ):
        np.testing.assert_allclose(found, same, rtol=0, atol=tolerance * np.abs(same).max())
    part, same = now.subset([3, 1]), expected.subset([3, 1])
    np.testing.assert_array_equal(part.losses(theta), same.losses(theta))
    assert now.check(theta, seeds.generator("check")).right
    place = torch.float64, torch.device("cpu")
    outputs = [
        each._vectors.in_precision(*place).outputs(
            torch.from_numpy(theta).double(), data[0].double()
        )
        for each in (now, expected, problem)
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    # the first problem is as it was, and a model that stands still is no other
    assert problem.loss(start) == anew(normalised(), data, dtype=dtype).loss(start)
    assert now.with_state_of(model) is now
    assert model.training


def test_a_counter_of_batches_makes_no_other_model():
    model, data = normalised(), torch_cases.data()
    problem = frameworks.from_torch(model, LOSS, data)
    model[1].num_batches_tracked += 5
    assert problem.with_state_of(model) is problem
    np.testing.assert_array_equal(problem.theta_of(model), problem.initial_theta)


def test_fixed_parameters_that_moved_are_taken_or_refused():
    model, data = torch_cases.made("layer normalisation"), torch_cases.data()
    problem = frameworks.from_torch(model, LOSS, data, parameters="last.*")
    with torch.no_grad():
        model.first.weight += 0.3
    with pytest.raises(checks.InputError, match=r"'first\.weight', which the model has"):
        problem.theta_of(model)
    now, expected = problem.with_state_of(model), anew(model, data, parameters="last.*")
    theta = now.theta_of(model)
    assert now.loss(theta) == expected.loss(theta) != problem.loss(theta)
    with pytest.raises(checks.InputError, match="has shape"):
        problem.with_state_of(torch_cases.perceptron())


def test_a_monitor_measures_with_the_statistics_of_each_step(tmp_path):
    model, data = normalised(), torch_cases.data()
    settings = {"batch_size": 2, "replacement": False, "quantities": ["loss", "covariance_trace"]}

    def watched(problem):
        return diagnostics.Monitor(tmp_path, problem, steps=1, seed=0, **settings)

    monitor = watched(frameworks.from_torch(model, LOSS, data))
    for step in range(3):
        found = monitor.at_step(step, model)
        expected = diagnostics.measure(
            anew(model, data), rng=seeds.generator("measure"), **settings
        )
        for name in settings["quantities"]:
            assert found[name].value == pytest.approx(expected[name].value, rel=1e-6)
        stepped(model, data)
    assert len(set(monitor.series("loss").values)) == 3
    # a training that starts again makes its problem of a later model
    again = watched(anew(model, data))
    expected = anew(model, data)
    found = again.at_step(3, model)["loss"].value
    assert found == pytest.approx(expected.loss(expected.initial_theta), rel=1e-6)
    other = data[0] + 0.1, data[1]
    with pytest.raises(checks.InputError, match="another problem: its loss or its data differ"):
        watched(anew(model, other)).at_step(4, model)


def test_an_engine_without_buffers_needs_no_state():
    torch.manual_seed(0)
    model, data = torch.nn.Sequential(torch.nn.Linear(6, 3)), torch_cases.data()
    problem = frameworks.from_torch(model, LOSS, data, engine="aniso")
    model.register_buffer("step", torch.ones(1))
    assert problem.with_state_of(model) is problem is problem.without_statistics()


def test_a_model_that_has_grown_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3)).double()
    data = torch.ones(6, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    problem = frameworks.from_torch(model, torch.nn.CrossEntropyLoss(), data)
    model.append(torch.nn.Linear(3, 3).double())
    with pytest.raises(checks.InputError, match=r"the parameter '1\.bias', which the one lacks"):
        problem.theta_of(model)
