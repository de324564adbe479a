"""Blocks, shares, ratios and coefficients from estimated traces, against their exact values."""

import numpy as np
import pytest
import seeds
from reference_matrices import with_spectrum
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from tolerances import assert_equal_up_to_rounding

from aniso import checks, descent, networks
from aniso.matrices import (
    DiagonalCovariance,
    alignment_by_block,
    estimate_alignment,
    estimate_alignment_by_block,
    estimate_projection_coefficient,
    estimate_trace_ratio,
    gradient_covariance,
    projection_coefficient,
    trace_ratio,
)
from aniso.problems import AutogradProblem, losses

DIMENSION = 60
BLOCKS = {"first": slice(0, 25), "second": slice(25, 57), "last": slice(57, 60)}


@pytest.fixture
def hessian(rng):
    return with_spectrum(rng, np.r_[30.0, 10.0, np.full(DIMENSION - 2, 0.3)])


@pytest.fixture
def covariance(rng):
    return gradient_covariance(rng.standard_normal((80, 6)) @ rng.standard_normal((6, DIMENSION)))


@pytest.mark.parametrize("kind", ["factored", "array", "diagonal"])
def test_blocks_and_shares_are_those_of_the_exact_table(kind, hessian, covariance, rng):
    dense = covariance.to_dense()
    given = {"array": dense, "diagonal": DiagonalCovariance(np.diag(dense))}.get(kind, covariance)
    exact = alignment_by_block(hessian, given, BLOCKS)
    found = estimate_alignment_by_block(aslinearoperator(hessian), given, rng, BLOCKS)
    for part, value in zip(found.alignments, exact.alignments, strict=True):
        assert abs(part.value - value) <= 6 * part.standard_error + 1e-9 * exact.alignment
        assert part.standard_error <= 0.01 * exact.alignment * 1.1
    shares = found.shares
    assert sum(share.value for share in shares.values()) == pytest.approx(1.0, abs=1e-12)
    for name, value in exact.shares.items():
        assert abs(shares[name].value - value) <= 6 * shares[name].standard_error + 1e-9
    # planted: the whole noise in place of that of a block
    assert abs(found.alignment.value - exact.alignments[0]) > 6 * found.alignment.standard_error
    assert found.num_products > 0
    assert "between blocks" in repr(found)


def test_a_known_whole_is_not_estimated_again(hessian, covariance, rng):
    calls = []

    def product(vectors):
        calls.append(1)
        return hessian @ vectors

    operator = LinearOperator(hessian.shape, matvec=product, matmat=product, dtype=float)
    whole = estimate_alignment(operator, covariance, rng)
    numbers = []
    for given in (None, None, whole):  # the first also probes the symmetry
        calls.clear()
        found = estimate_alignment_by_block(operator, covariance, rng, BLOCKS, whole=given)
        numbers.append(len(calls))
    assert found.alignment is whole
    assert numbers[2] < numbers[1]
    with pytest.raises(checks.InputError, match="estimate_alignment"):
        estimate_alignment_by_block(operator, covariance, rng, BLOCKS, whole=1.0)


def test_isotropic_noise_has_the_ratio_one(hessian, rng):
    isotropic = DiagonalCovariance(np.full(DIMENSION, 0.7))
    exact = estimate_trace_ratio(hessian, isotropic, rng)
    assert_equal_up_to_rounding(exact.value, 1.0, num_terms=DIMENSION)
    found = estimate_trace_ratio(aslinearoperator(hessian), isotropic, rng, relative_error=0.05)
    assert abs(found.value - 1) <= 6 * found.standard_error + 1e-9


def test_ratio_and_coefficient_of_products_alone(hessian, covariance, rng):
    operator = aslinearoperator(hessian)
    ratio = estimate_trace_ratio(operator, covariance, rng)
    assert abs(ratio.value - trace_ratio(hessian, covariance)) <= 6 * ratio.standard_error + 1e-9
    expected = projection_coefficient(hessian, covariance)
    known = estimate_projection_coefficient(hessian, covariance, rng)
    assert known.standard_error == 0
    assert known.value == pytest.approx(expected, rel=1e-12)
    found = estimate_projection_coefficient(operator, covariance, rng)
    assert abs(found.value - expected) <= 6 * found.standard_error + 1e-8
    with pytest.raises(checks.InputError, match="the trace of covariance is 0"):
        estimate_trace_ratio(hessian, DiagonalCovariance(np.zeros(DIMENSION)), rng)
    with pytest.raises(checks.InputError, match="expected a positive one"):
        estimate_projection_coefficient(-np.diag(np.arange(1.0, 61.0)), covariance, rng)


def small_network(rng):
    stack = networks.multilayer_perceptron((5, 7, 3))
    inputs, labels = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    return networks.Network(stack, losses.SoftmaxCrossEntropy(), inputs, labels)


def test_a_geometry_estimates_what_it_has_exactly(rng):
    network = small_network(rng)
    at = network.at(rng.standard_normal(network.num_parameters))
    exact = at.by_block()
    for method in ("deflated", "hutchinson", "examples"):
        found = at.estimate_alignment(seeds.generator(), method=method, relative_error=0.1)
        assert abs(found.value - exact.alignment) <= 6 * found.standard_error + 1e-5 * abs(
            exact.alignment
        )
    found = at.estimate_by_block(seeds.generator(), relative_error=0.05)
    assert found.names == exact.names
    for part, value in zip(found.alignments, exact.alignments, strict=True):
        assert abs(part.value - value) <= 6 * part.standard_error + 1e-5 * abs(exact.alignment)


def test_a_run_records_the_estimate(rng):
    def loss(theta, x, y):  # noqa: ARG001
        return (theta[..., 0, None] * x) ** 2 / 2

    problem = AutogradProblem(loss, [1.0, 2.0], [0.0, 0.0])
    record = descent.Measurements((0,), ("alignment", "curvature")).at(problem, [1.0], rng)
    # one parameter: H = 2.5 and a variance of 2.25, deflated as a whole
    assert record["estimated_alignment"] == pytest.approx(5.625, rel=1e-12)
    assert record["estimated_alignment_error"] == 0
    assert record["alignment"] == pytest.approx(5.625, rel=1e-12)
