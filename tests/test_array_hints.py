"""What is given in the place of an array, a stack or a loss is refused with what to write."""

import autograd.numpy as anp
import numpy as np
import pytest
import scipy.sparse
import seeds
from scipy.sparse.linalg import aslinearoperator

from aniso import checks, descent, networks
from aniso.closed_forms import diffusion
from aniso.matrices import eigenpairs, indicators, noise
from aniso.networks import initialisation
from aniso.problems import losses
from aniso.problems.autograd_model import AutogradModel
from aniso.problems.autograd_problem import AutogradProblem

INPUTS, LABELS = np.arange(18.0).reshape(6, 3), np.array([0, 1, 0, 1, 1, 0])
STACK = networks.Stack((networks.Dense(1),), (3,))
NETWORK = networks.Network(STACK, losses.LogisticLoss(), INPUTS, LABELS)
PARTS = {"weights": np.zeros((3, 1)), "biases": np.zeros(1)}


def logistic(theta, x, y):
    return anp.logaddexp(0.0, (1 - 2 * y) * (anp.dot(x, theta[:3]) + theta[3]))


PROBLEM = AutogradProblem(logistic, INPUTS, LABELS)
SIZED = AutogradProblem(logistic, INPUTS, LABELS, num_parameters=4)
MODEL = networks.one_hidden_layer(3, 1)
MODEL_PROBLEM = AutogradModel(MODEL, losses.LogisticLoss(), INPUTS, LABELS)


def descend(objective, theta):
    settings = descent.Settings("gd", learning_rate=0.1, num_steps=1)
    return descent.simulate_descent(objective, theta, settings, seeds.generator(0))


AT_THETA = {
    "AutogradProblem": PROBLEM.loss,
    "AutogradProblem of known size": SIZED.gradient,
    "AutogradModel": MODEL_PROBLEM.loss,
    "at": SIZED.at,
    "Network": NETWORK.gradient,
    "linearise": NETWORK.linearise,
    "example_gradients": NETWORK.example_gradients,
    "Network.at": NETWORK.at,
    "simulate_descent": lambda theta: descend(NETWORK, theta),
    "check": lambda theta: SIZED.check(theta, seeds.generator(0)),
}
at_theta = pytest.mark.parametrize("name", AT_THETA)


@at_theta
@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (PARTS, r"theta is a dict of 2 parts; .*concatenate.* in theta\.values\(\)"),
        (tuple(PARTS.values()), r"theta is a tuple of 2 parts; .*concatenate.* in theta\]"),
        ([np.zeros(2), np.zeros(2)], r"theta is a list of 2 parts; .*concatenate"),
        (None, "theta=None; expected an array of real numbers"),
        ((part for part in PARTS.values()), "theta is a generator; expected an array"),
    ],
)
def test_parameters_in_parts_are_refused_with_how_to_join_them(name, theta, message):
    with pytest.raises(checks.InputError, match=message):
        AT_THETA[name](theta)


@at_theta
def test_parameters_of_a_wrong_length_are_refused_with_the_right_one(name):
    if name != "AutogradProblem":
        with pytest.raises(checks.InputError, match=r"shape \(3,\); expected .* the D=4 param"):
            AT_THETA[name](np.zeros(3))
        with pytest.raises(checks.InputError, match=r"numpy\.ravel\(theta\) is one"):
            AT_THETA[name](np.zeros((4, 1)))
        return
    for method in ("loss", "gradient", "per_example_gradients", "hessian", "plan"):
        with pytest.raises(checks.InputError, match=r"theta of shape \(3,\).*num_parameters"):
            getattr(PROBLEM, method)(np.zeros(3))


def test_a_loss_that_fails_along_a_run_is_no_divergence():
    def failing(theta, x, y):
        if np.any(np.abs(theta) > 0):
            raise ValueError("the caller's own mistake")
        return logistic(theta, x, y)

    with pytest.raises(checks.InputError, match="the caller's own mistake"):
        descend(AutogradProblem(failing, INPUTS, LABELS), np.zeros(4))


class OfAnotherPackage:
    """Stands for curvlinops's operators: products of tensors, and `to_scipy`."""

    shape = (2, 2)

    def to_scipy(self):
        return aslinearoperator(np.eye(2))


OPERATOR = OfAnotherPackage()


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda: indicators.alignment(OPERATOR, np.eye(2)), r"hessian\.to_scipy\(\) is one"),
        (lambda: indicators.trace_ratio(np.eye(2), OPERATOR), r"covariance\.to_scipy\(\) is one"),
        (lambda: eigenpairs.leading_eigenpairs(OPERATOR, 1), r"matrix\.to_scipy\(\) is one"),
        (lambda: checks.array("a", OPERATOR), r"a\.to_scipy\(\) @ numpy\.eye\(2\)"),
        (lambda: checks.array("a", OPERATOR.to_scipy()), r"a @ numpy\.eye\(2\)"),
        (lambda: checks.array("a", scipy.sparse.eye_array(2)), r"a\.toarray\(\)"),
        (
            lambda: checks.array("a", noise.gradient_covariance(INPUTS)),
            r"a\.to_dense\(\)",
        ),
        (lambda: checks.array("a", [{"b": 1}]), "a has entries of type dict"),
        (
            lambda: checks.array("a", NETWORK.example_gradients(np.zeros(4))),
            "matrices.gradient_covariance takes",
        ),
        (lambda: noise.gradient_covariance(NETWORK), r"at\(theta\)\.example_gradients"),
    ],
)
def test_a_matrix_of_another_kind_is_refused_with_how_to_make_an_array(call, remedy):
    with pytest.raises(checks.InputError, match=remedy):
        call()


@pytest.mark.filterwarnings("ignore")  # what the packages warn of each other
def test_operators_of_curvlinops_are_told_apart():
    torch = pytest.importorskip("torch")
    curvlinops = pytest.importorskip("curvlinops", reason="curvlinops brings torchvision and CUDA")
    module = torch.nn.Linear(3, 2)
    operator = curvlinops.HessianLinearOperator(
        module,
        torch.nn.CrossEntropyLoss(),
        list(module.parameters()),
        [(torch.ones(4, 3), torch.tensor([0, 1, 1, 0]))],
    )
    with pytest.raises(checks.InputError, match=r"hessian\.to_scipy\(\)"):
        indicators.alignment(operator, np.eye(8))


@pytest.mark.filterwarnings("ignore")  # what the packages warn of each other
def test_modules_and_tensors_of_torch_are_told_apart():
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 2)
    weights = torch.ones(3, 3, requires_grad=True)
    with pytest.raises(checks.InputError, match=r"detach\(\)\.cpu\(\)\.numpy\(\)"):
        indicators.alignment(weights, np.eye(3))
    with pytest.raises(checks.InputError, match="parameters_to_vector"):
        NETWORK.loss(list(module.parameters()))
    with pytest.raises(checks.InputError, match="parameters_to_vector"):
        NETWORK.loss(module)
    for call in (
        lambda: networks.Network(module, losses.LogisticLoss(), INPUTS, LABELS),
        lambda: networks.Network(STACK, torch.nn.CrossEntropyLoss(), INPUTS, LABELS),
        lambda: networks.Stack((module,), (3,)),
        lambda: initialisation.he_normal(module, seeds.generator(0)),
        lambda: AutogradProblem(module, INPUTS, LABELS),
        lambda: AutogradProblem(torch.nn.CrossEntropyLoss(), INPUTS, LABELS),
        lambda: AutogradModel(module, losses.LogisticLoss(), INPUTS, LABELS),
        lambda: descend(module, np.zeros(4)),
    ):
        with pytest.raises(checks.InputError, match="expected"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: networks.Network(networks.Stack, losses.LogisticLoss(), INPUTS, LABELS),
            r"an instance of networks\.Stack, for instance",
        ),
        (
            lambda: networks.Network(STACK, losses.LogisticLoss, INPUTS, LABELS),
            r"an instance of a loss of aniso\.problems\.losses, for instance",
        ),
        (
            lambda: networks.Network(STACK, "logistic", INPUTS, LABELS),
            r"output_loss='logistic'; expected an instance",
        ),
        (
            lambda: AutogradModel(networks.Stack, losses.LogisticLoss(), INPUTS, LABELS),
            r"for instance networks\.one_hidden_layer",
        ),
        (
            lambda: AutogradModel(MODEL, losses.LogisticLoss, INPUTS, LABELS),
            r"for instance problems\.losses\.SoftmaxCrossEntropy",
        ),
        (lambda: AutogradProblem(losses.LogisticLoss, INPUTS, LABELS), "expected a function"),
        (lambda: AutogradProblem(losses.LogisticLoss(), INPUTS, LABELS), "AutogradModel"),
        (lambda: networks.Stack((networks.Dense,), (3,)), r"layers: instances .* Dense\(10\)"),
        (lambda: networks.Stack(networks.Dense(1), (3,)), r"a tuple of layers"),
        (lambda: networks.Stack((networks.Dense(1),), 3), r"a tuple, the shape of one example"),
        (lambda: AutogradProblem(logistic, INPUTS, None), r"targets=None; .*numpy\.zeros\(6\)"),
        (
            lambda: networks.Network(STACK, losses.LogisticLoss(), INPUTS, None),
            "targets=None; expected an array",
        ),
        (
            lambda: networks.Network(STACK, losses.SquaredLoss(), INPUTS, None),
            "targets=None; expected an array",
        ),
    ],
)
def test_a_class_or_nothing_in_the_place_of_an_object_is_refused_with_an_example(call, message):
    with pytest.raises(checks.InputError, match=message):
        call()


def test_a_covariance_of_low_rank_in_single_precision_is_told_from_an_indefinite_one(rng):
    rows = rng.standard_normal((2, 12)).astype(np.float32)
    single = rows.T @ rows
    # enough of a negative eigenvalue for double precision, whatever the seed rounded to
    single -= 2e-6 * np.trace(single) / 12 * np.eye(12, dtype=np.float32)
    with pytest.raises(checks.InputError, match=r"single precision .*gradient_covariance"):
        diffusion.escaping_efficiency(np.eye(12), single, [1.0])
    with pytest.raises(checks.InputError, match=r"expected a covariance matrix$"):
        checks.covariance_matrix("covariance", np.diag([1.0, -0.5]))
