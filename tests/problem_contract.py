"""The contract of a problem: one test body that every problem passes.

``check_problem(problem, theta, rng)`` compares all members and the local geometry with slow
definitions that are made of `losses`, `gradient` and `subset` alone. A problem of one's own needs
no other test of its derivatives.
"""

import numpy as np
import pytest
import seeds
from scipy.sparse.linalg import eigsh

from aniso import checks, problems
from aniso.arrays import transfer

TOLERANCE = 1e-9  # thousands of roundings of numbers of the result's size


def agree(actual, expected, what):
    actual = np.asarray(transfer.to_numpy(actual), dtype=np.float64)
    expected = np.asarray(transfer.to_numpy(expected), dtype=np.float64)
    assert actual.shape == expected.shape, what
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE * scale, rtol=0, err_msg=what)


def check_problem(problem, theta, rng):
    """Check all members of a problem at theta (D,), a NumPy array."""
    assert problems.require_problem("problem", problem) is problem
    host = problem.on_host()
    assert host.on_host() is host
    rows, hessian = definitions(host, theta)
    check_members(host, theta, rows, hessian, rng)
    check_geometry(host, theta, rows, hessian, rng)
    check_copies(host, theta)
    check_refusals(host, theta)
    if host.has("outputs"):
        check_outputs(host, theta, rows)
    else:
        check_missing_faculties(host, theta)
    host.check(theta, rng).raise_if_wrong()


def definitions(problem, theta):
    """Per-example gradients and Hessian, by gradients of single examples and all unit vectors."""
    singles = [problem.subset([i]) for i in range(problem.num_examples)]
    assert [single.num_examples for single in singles] == [1] * problem.num_examples
    rows = np.stack([np.asarray(single.gradient(theta)) for single in singles])
    return rows, np.asarray(problem.hessian_product(theta, np.eye(theta.size)))


def check_members(problem, theta, rows, hessian, rng):
    losses = np.asarray(problem.losses(theta))
    assert losses.shape == (problem.num_examples,)
    assert type(problem.loss(theta)) is float
    agree(problem.loss(theta), losses.mean(), "loss")
    agree(problem.subset([1, 0]).losses(theta), losses[[1, 0]], "losses of a subset, in its order")
    agree(problem.gradient(theta), rows.mean(axis=0), "gradient")
    agree(problem.per_example_gradients(theta), rows, "per_example_gradients")
    value, gradient = problem.loss_and_gradient(theta)
    agree(value, losses.mean(), "loss_and_gradient")
    agree(gradient, rows.mean(axis=0), "loss_and_gradient")
    agree(hessian, hessian.T, "symmetry of the Hessian")
    agree(problem.hessian(theta), hessian, "hessian")
    block = rng.standard_normal((theta.size, 3))
    agree(problem.hessian_product(theta, block), hessian @ block, "product with a block")
    single = problem.hessian_product(theta, block[:, 0])
    agree(single, hessian @ block[:, 0], "product with a vector")
    if problem.num_parameters is not None:
        assert problem.num_parameters == theta.size


def check_geometry(problem, theta, rows, hessian, rng):
    at = problem.at(theta)
    assert type(problem).__name__.removeprefix("Hosted") in repr(at)
    assert f"D = {theta.size}" in repr(at)
    assert f"N = {problem.num_examples}" in repr(problem)
    assert (at.num_parameters, type(at.loss)) == (theta.size, float)
    agree(at.theta, theta, "theta of the geometry")
    agree(at.loss, problem.loss(theta), "loss of the geometry")
    agree(at.gradient, rows.mean(axis=0), "gradient of the geometry")
    assert isinstance(at.gradient, np.ndarray)
    at.gradient[:] = 7.0
    agree(at.gradient, rows.mean(axis=0), "a gradient that a caller has overwritten")
    agree(at.example_gradients.mean(), rows.mean(axis=0), "mean of the example gradients")
    centred = rows - rows.mean(axis=0)
    check_matrix(at.noise, centred.T @ centred / len(rows), rng, "noise")
    assert str(at.noise.convention).startswith("centred gradient covariance of one example")
    check_matrix(at.hessian, hessian, rng, "hessian")
    check_matrix(at.empirical_fisher, rows.T @ rows / len(rows), rng, "empirical Fisher")
    for num_vectors in (1, 5):
        near = at.hessian_for(num_vectors, 1e-2) @ rows[0]
        size = np.abs(hessian @ rows[0]).max() + np.abs(hessian).max() * np.abs(rows[0]).max()
        # single precision is enough for the tolerance that was asked for
        np.testing.assert_allclose(near, hessian @ rows[0], atol=1e-4 * size, rtol=0)
    check_blocks(at, hessian, centred)


def check_matrix(operator, expected, rng, what):
    size = len(expected)
    block = rng.standard_normal((size, 2))
    assert operator.shape == (size, size), what
    agree(operator @ block, expected @ block, f"{what} times a block")
    agree(operator @ block[:, 0], expected @ block[:, 0], f"{what} times a vector")
    agree(operator.T @ block, expected @ block, f"{what}, transposed")
    agree(operator.trace(), np.trace(expected), f"trace of {what}")
    agree(operator.diagonal(), np.diag(expected), f"diagonal of {what}")
    agree(np.asarray(operator.to_dense()), expected, f"{what}, dense")
    agree(operator @ block, expected @ block, f"{what} after its dense form")
    if size > 3:
        largest = eigsh(operator, 1, which="LM", v0=np.ones(size))[0][0]
        values = np.linalg.eigvalsh(expected)
        agree(abs(largest), np.abs(values).max(), f"SciPy's eigenvalue of {what}")


def check_blocks(at, hessian, centred):
    covered = [index for part in at.blocks.values() for index in range(len(hessian))[part]]
    assert covered == list(range(len(hessian)))
    assert at.hessian.blocks == at.blocks
    found = at.by_block()
    assert tuple(found.names) == tuple(at.blocks)
    covariance = centred.T @ centred / len(centred)
    for number, part in enumerate(at.blocks.values()):
        own, noise = hessian[part, part], covariance[part, part]
        agree(found.hessian_traces[number], np.trace(own), "Tr H of a block")
        agree(found.covariance_traces[number], np.trace(noise), "Tr Sigma of a block")
        agree(found.alignments[number], np.sum(own * noise), "Tr(H Sigma) of a block")
    agree(found.alignment, np.sum(hessian * covariance), "Tr(H Sigma)")


def check_copies(problem, theta):
    """Later changes of the caller's theta change no quantity of a geometry."""
    given = theta.copy()
    at = problem.at(given)
    before = problem.at(theta)
    given += 1.0
    agree(at.gradient, before.gradient, "gradient after the caller changed theta")
    agree(at.hessian @ theta, before.hessian @ theta, "Hessian after the caller changed theta")


def check_refusals(problem, theta):
    wrong = [np.full(theta.size, np.nan), theta[:, None], []]
    if problem.num_parameters is not None:
        wrong.append(np.ones(theta.size + 1))
    for value in wrong:
        with pytest.raises(checks.InputError, match="theta"):
            problem.at(value)


def check_outputs(problem, theta, rows):
    outputs, targets = problem.outputs(theta), problem.targets
    loss, jacobians = problem.output_loss, problem.jacobians(theta)
    agree(loss(outputs, targets), problem.losses(theta), "losses of the outputs")
    slopes = problem.output_gradients(theta)
    agree(np.einsum("nc,ncd->nd", slopes, jacobians), rows, "gradients through the outputs")
    at, rng = problem.at(theta), seeds.generator(0)
    for operator, weights, what in (
        (at.gauss_newton, problem.output_hessians(theta), "Gauss-Newton"),
        (at.fisher, loss.fisher_information(outputs), "Fisher"),
    ):
        expected = np.einsum("nad,nab,nbe->de", jacobians, weights, jacobians) / len(rows)
        check_matrix(operator, expected, rng, what)
    if problem.has("fisher_product"):
        agree(problem.fisher_product(theta, theta), at.fisher @ theta, "fisher_product")
        agree(
            problem.generalized_gauss_newton_product(theta, theta),
            at.gauss_newton @ theta,
            "generalized_gauss_newton_product",
        )


def check_missing_faculties(problem, theta):
    """Each optional member is refused by its name, and the quantities made of it too."""
    name = type(problem).__name__
    for faculty in problems.FACULTIES:
        if not problem.has(faculty):
            with pytest.raises(problems.MissingFaculty, match=rf"{name} has no {faculty}"):
                getattr(problem, faculty)
    for quantity in ("gauss_newton", "fisher"):
        with pytest.raises(problems.MissingFaculty, match="AutogradModel"):
            getattr(problem.at(theta), quantity)
