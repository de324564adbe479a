"""Tr(H Sigma) by block of parameters, against sums over the entries of dense matrices."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse
from reference_matrices import symmetrised
from scipy.sparse.linalg import aslinearoperator
from tolerances import assert_equal_up_to_rounding

from aniso import checks, matrices, networks
from aniso.matrices import operands
from aniso.problems import losses

BLOCKS = {"last": slice(7, 12), "first": slice(0, 4), "middle": slice(4, 7)}
NAMES = ("first", "middle", "last")
DIMENSION = 12


def by_entries(hessian, covariance):
    """Tr(H_bb Sigma_bb) of the three blocks and Tr(H Sigma), entry by entry."""
    bounds = [(0, 4), (4, 7), (7, 12)]
    parts = [
        sum(hessian[i, j] * covariance[j, i] for i in range(*pair) for j in range(*pair))
        for pair in bounds
    ]
    total = sum(
        hessian[i, j] * covariance[j, i] for i in range(DIMENSION) for j in range(DIMENSION)
    )
    return np.array(parts), total


def curvatures(hessian):
    yield hessian
    yield scipy.sparse.csr_array(hessian)
    yield aslinearoperator(hessian)
    yield matrices.SymmetricOperator(
        lambda vectors: hessian @ vectors, DIMENSION, float, hessian.diagonal, blocks=BLOCKS
    )


def noises(rows):
    one = matrices.gradient_covariance(rows)
    yield one.to_dense()
    yield one
    yield aslinearoperator(np.asarray(one.to_dense()))


@pytest.mark.parametrize("num_examples", [2, 20])
@pytest.mark.parametrize("at_once", [1, 5, 256])
def test_every_kind_gives_the_sums_over_entries(num_examples, at_once, rng, monkeypatch):
    monkeypatch.setattr(operands, "_BLOCK_BYTES", 8 * DIMENSION * at_once)
    hessian = symmetrised(rng.standard_normal((DIMENSION, DIMENSION)))
    rows = rng.standard_normal((num_examples, DIMENSION))
    covariance = np.asarray(matrices.gradient_covariance(rows).to_dense())
    parts, total = by_entries(hessian, covariance)
    for curvature in curvatures(hessian):
        for noise in noises(rows):
            found = matrices.alignment_by_block(curvature, noise, BLOCKS)
            assert found.names == NAMES
            assert found.sizes.tolist() == [4, 3, 5]
            for actual, expected in [
                (found.alignments, parts),
                (found.alignment, total),
                (found.hessian_traces, [np.trace(hessian[p, p]) for p in map(BLOCKS.get, NAMES)]),
                (
                    found.covariance_traces,
                    [np.trace(covariance[p, p]) for p in map(BLOCKS.get, NAMES)],
                ),
                (found.isotropic, np.trace(hessian) * np.trace(covariance) / DIMENSION),
                (found.between_blocks, total - parts.sum()),
            ]:
                assert_equal_up_to_rounding(actual, expected, num_terms=1000, scale=100.0)
            assert abs(sum(found.shares.values()) - 1) < 1e-12
            np.testing.assert_allclose(found.ratio, matrices.trace_ratio(hessian, covariance))
            np.testing.assert_allclose(
                found.block_ratios * found.block_isotropic, found.alignments, rtol=1e-12
            )
    with pytest.raises(AssertionError, match="rounding"):
        assert_equal_up_to_rounding(parts.sum(), total, num_terms=1000, scale=100.0)


def test_the_blocks_of_an_operator_are_taken(rng):
    hessian = symmetrised(rng.standard_normal((DIMENSION, DIMENSION)))
    *_, operator = curvatures(hessian)
    found = matrices.alignment_by_block(operator, np.eye(DIMENSION))
    assert found.names == NAMES
    np.testing.assert_allclose(found.between_blocks, 0.0, atol=1e-12)


def test_a_network_gives_the_same_from_its_factors(rng):
    stack = networks.multilayer_perceptron((3, 4, 2))
    network = networks.Network(
        stack, losses.SquaredLoss(), rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    )
    theta = rng.standard_normal(stack.num_parameters)
    at = network.linearise(theta)
    expected = at.noise_curvature()
    assert isinstance(expected, matrices.BlockAlignment)
    parts = [stack.parameter_slices[position] for position in stack.parameterised]
    blocks = dict(zip(expected.names, parts, strict=True))
    noise = matrices.gradient_covariance(network.example_gradients(theta))
    found = matrices.alignment_by_block(at.hessian_operator(), noise, blocks)
    for field in dataclasses.fields(found):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if field.name == "names":
            assert one == other
        else:
            np.testing.assert_allclose(one, other, rtol=1e-9)


def test_a_table_is_shown_and_fits_a_screen(rng):
    hessian = np.diag(rng.uniform(1, 2, 40))
    blocks = {f"part {number}": slice(number, number + 1) for number in range(40)}
    shown = repr(matrices.alignment_by_block(hessian, np.eye(40), blocks)).splitlines()
    assert len(shown) <= 25
    assert max(map(len, shown)) <= 100
    assert "40" in shown[0]
    assert shown[-2] == "... 20 more blocks"
    assert shown[-1].startswith("between blocks")


def test_noise_and_curvature_of_rounding_have_no_ratio():
    found = matrices.alignment_by_block(
        np.diag([1.0, -1.0]), np.eye(2), {"a": slice(0, 1), "b": slice(1, 2)}
    )
    assert "ratio undefined" in repr(found)
    with pytest.raises(checks.InputError, match="zero to its rounding"):
        _ = found.ratio
    equal = matrices.gradient_covariance(np.full((3, 2), 1 / 3))
    silent = matrices.alignment_by_block(np.eye(2), equal, {"both": slice(0, 2)})
    assert silent.alignment == silent.isotropic == 0
    assert np.isnan(list(silent.shares.values())).all()


@pytest.mark.parametrize(
    ("blocks", "rule"),
    [
        (None, "blocks=None; expected a dict"),
        ({"a": slice(1, 12)}, r"leave out 0\.\.1"),
        ({"a": slice(0, 3), "b": slice(5, 12)}, r"leave out 3\.\.5"),
        ({"a": slice(0, 3)}, r"leave out 3\.\.12; expected parts that cover 0\.\.12"),
    ],
)
def test_blocks_that_do_not_cover_theta_are_refused(blocks, rule):
    with pytest.raises(checks.InputError, match=rule):
        matrices.alignment_by_block(np.eye(DIMENSION), np.eye(DIMENSION), blocks)


def test_too_many_products_are_refused_with_the_estimator(rng):
    operator = aslinearoperator(np.eye(DIMENSION))
    with pytest.raises(checks.InputError, match=r"12 products .* matrices\.estimate_alignment"):
        matrices.alignment_by_block(operator, np.eye(DIMENSION), BLOCKS, max_products=11)
    *_, known = curvatures(np.eye(DIMENSION))
    few = matrices.gradient_covariance(rng.standard_normal((2, DIMENSION)))
    with pytest.raises(checks.InputError, match=r"8 products .* matrices\.estimate_alignment"):
        matrices.alignment_by_block(known, few, BLOCKS, max_products=7)
