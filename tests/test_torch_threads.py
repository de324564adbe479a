"""Several threads that use one PyTorch problem get what one thread gets."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import torch_cases  # noqa: E402

from aniso import frameworks  # noqa: E402

QUANTITIES = {
    "losses": lambda problem, theta: problem.losses(theta),
    "gradient": lambda problem, theta: problem.gradient(theta),
    "H V": lambda problem, theta: problem.hessian_product(theta, np.eye(theta.size)[:, :3]),
    "rows": lambda problem, theta: problem.per_example_gradients(theta),
    "G V": lambda problem, theta: problem.example_gradients(theta).project(
        np.eye(theta.size)[:, :3]
    ),
    "W G": lambda problem, theta: problem.example_gradients(theta).combine(np.eye(3, 5)),
    "outputs": lambda problem, theta: problem.outputs(theta),
    "Gauss-Newton": lambda problem, theta: problem.generalized_gauss_newton_product(
        theta, np.ones(theta.size)
    ),
    "start": lambda problem, theta: problem.losses(theta) + problem.initial_theta.sum(),
}


class Pausing:
    """A call of the model within which other threads run."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self, model, inputs):
        time.sleep(self.seconds)
        outputs = model(inputs)
        time.sleep(self.seconds)
        return outputs


@pytest.fixture(scope="module", params=["perceptron", "attention"])
def paused_problem(request):
    model, pausing = torch_cases.made(request.param).double(), Pausing()
    problem = frameworks.from_torch(
        model, torch.nn.CrossEntropyLoss(), torch_cases.data(), forward=pausing, engine="torch"
    )
    return problem, pausing


@pytest.mark.parametrize("name", QUANTITIES)
def test_threads_get_the_bits_of_one_thread(paused_problem, name):
    problem, pausing = paused_problem
    start = problem.initial_theta
    points = [start, start + 1, start - 1]

    def computed(theta):
        return QUANTITIES[name](problem, theta)

    expected = [computed(theta) for theta in points]
    pausing.seconds = 0.002
    try:
        with ThreadPoolExecutor(3) as executor:
            found = list(executor.map(computed, points * 2))
    finally:
        pausing.seconds = 0.0
    np.testing.assert_array_equal(found, expected * 2)


def test_a_forked_process_does_not_wait_for_a_thread_of_its_parent():
    from aniso.frameworks import _torch_model

    with _torch_model.one_thread():
        held = _torch_model.one_thread()
        try:
            _torch_model._renew()  # as in the child of a fork
            with ThreadPoolExecutor(1) as executor:
                taken = executor.submit(_torch_model.one_thread().acquire, timeout=1).result()
        finally:
            _torch_model._turn = held
    assert taken
