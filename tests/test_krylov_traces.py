"""Traces beyond a Krylov space: the space is exact, the rest unbiased, and one pass serves all."""

import itertools

import numpy as np
import pytest
import seeds
from reference_matrices import random_symmetric, with_spectrum
from scipy.sparse.linalg import LinearOperator
from tolerances import assert_within_sampling_error

from aniso import diagnostics, problems
from aniso.diagnostics import _planned_work, _shared_space
from aniso.estimates import NotConverged
from aniso.matrices import (
    ExampleGradients,
    alignment_beyond,
    block_traces_beyond,
    draw_probes,
    gradient_covariance,
    leading_space,
    trace_beyond,
)
from aniso.matrices.block_compressions import compressions

DIMENSION = 60
PARTS = [slice(0, 10), slice(10, 35), slice(35, 60)]


class EverySign(np.random.Generator):
    """Draws each vector of n signs once, in order."""

    def integers(self, low, high, size, dtype):  # noqa: ARG002
        return np.array(list(itertools.product((0, 1), repeat=size[1])), dtype)[: size[0]]


def spread_matrix(rng):
    """Four large eigenvalues above a bulk of both signs."""
    return with_spectrum(rng, np.append([50.0, 20.0, 10.0, 5.0], np.linspace(-1, 1, DIMENSION - 4)))


def restored(matrix, space):
    """V S V^T + Q A Q as an array."""
    outside = np.eye(len(matrix)) - space.basis @ space.basis.T
    return space.vectors @ space.coupling @ space.vectors.T + outside @ matrix @ outside


def test_the_space_and_what_is_beyond_it_are_the_matrix(rng):
    low_rank = rng.standard_normal((DIMENSION, 3))
    for matrix, rank in ((spread_matrix(rng), DIMENSION), (low_rank @ low_rank.T, 3)):
        space = leading_space(matrix, 3)
        scale = np.abs(matrix).max()
        np.testing.assert_allclose(restored(matrix, space), matrix, atol=1e-12 * scale)
        values = np.linalg.eigvalsh(matrix)[::-1][:3]
        np.testing.assert_allclose(space.pairs.values, values, rtol=1e-6)
        true = matrix @ space.pairs.vectors - space.pairs.vectors * space.pairs.values
        wrong = np.abs(np.linalg.norm(true, axis=0) - space.pairs.residuals)
        assert wrong.max() < 1e-11 * scale
        assert space.dimension < min(DIMENSION, 12 * rank)
        # planted: without the coupling to the vectors outside
        inside = space.coupling.copy()
        inside[space.dimension :] = inside[:, space.dimension :] = 0.0
        cut = type(space)(space.pairs, space.vectors, inside, space.dimension)
        if rank == DIMENSION:
            assert np.abs(restored(matrix, cut) - matrix).max() > 1e-6 * scale


def test_products_that_change_are_noticed(rng):
    matrix, calls = spread_matrix(rng), []

    def product(vectors):
        calls.append(1)
        last = vectors.ndim == 1 or vectors.shape[1] == 1
        return (matrix + 0.01 * np.eye(DIMENSION) if last else matrix) @ vectors

    operator = LinearOperator(matrix.shape, matvec=product, matmat=product, dtype=float)
    with pytest.raises(NotConverged, match="differs by") as raised:
        leading_space(operator, 3)
    assert raised.value.partial.residuals.min() > 0.01


def test_the_mean_over_all_signs_is_every_trace(rng):
    size, parts = 10, [slice(0, 3), slice(3, 10)]
    matrix = random_symmetric(rng, size)
    covariance = gradient_covariance(rng.standard_normal((7, size)) + 1.0)
    dense, space = covariance.to_dense(), leading_space(matrix, 1, block_size=1, tolerance=0.2)
    assert space.dimension < size
    probes = draw_probes(matrix, space, 2**size, EverySign(np.random.PCG64(0)))
    np.testing.assert_allclose(trace_beyond(space, probes).value, np.trace(matrix), atol=1e-10)
    found = alignment_beyond(space, probes, covariance, parts)
    whole = np.trace(matrix @ dense)
    np.testing.assert_allclose(found.estimate().value, whole, atol=1e-9)
    traces, inner = block_traces_beyond(space, probes, parts), []
    for number, part in enumerate(parts):
        np.testing.assert_allclose(traces[number].value, np.trace(matrix[part, part]), atol=1e-10)
        inner.append(np.trace(matrix[part, part] @ dense[part, part]))
        np.testing.assert_allclose(found.estimate(number).value, inner[-1], atol=1e-9)
        np.testing.assert_allclose(found.share(number).value, inner[-1] / whole, atol=1e-9)
    np.testing.assert_allclose(found.share(-1).value, 1 - sum(inner) / whole, atol=1e-9)
    # planted: images that are not projected count the space twice
    images = matrix @ probes.signs
    twice = alignment_beyond(space, type(probes)(probes.signs, images), covariance, parts)
    assert abs(twice.estimate().value - whole) > 1e-6 * abs(whole)


def test_errors_are_those_of_the_spread(rng):
    matrix = spread_matrix(rng)
    covariance = gradient_covariance(rng.standard_normal((30, DIMENSION)) @ matrix)
    dense, space = covariance.to_dense(), leading_space(matrix, 4)
    whole = np.trace(matrix @ dense)
    inner = sum(np.trace(matrix[p, p] @ dense[p, p]) for p in PARTS)
    scores, draws = [], seeds.generator(2)
    for _ in range(60):
        probes = draw_probes(matrix, space, 16, draws)
        found = alignment_beyond(space, probes, covariance, PARTS)
        trace = trace_beyond(space, probes)
        scores.append(
            (
                trace.z_score(np.trace(matrix)),
                found.estimate().z_score(whole),
                found.share(-1).z_score(1 - inner / whole),
            )
        )
    spread = np.sqrt(np.mean(np.square(scores), axis=0))
    assert (spread > 0.7).all()
    assert (spread < 1.5).all()


def test_compressions_of_arrays_operators_and_gradients_agree(rng):
    array, vectors = rng.standard_normal((9, DIMENSION)) + 3.0, rng.standard_normal((DIMENSION, 4))
    covariance = gradient_covariance(array)
    dense = covariance.to_dense()
    wanted = [vectors[p].T @ dense[p, p] @ vectors[p] for p in PARTS]
    wanted = np.array([*wanted, vectors.T @ dense @ vectors])
    operator = LinearOperator(dense.shape, matvec=lambda v: dense @ v, dtype=float)

    class Recomputed(ExampleGradients):
        shape, dtype, rows_at_once = array.shape, array.dtype, 2

        def project(self, columns):
            return array @ columns

        def combine(self, weights):
            return weights @ array

        def rows(self, start, stop):
            return array[start:stop].copy()

    for matrix in (dense, operator, covariance, gradient_covariance(Recomputed())):
        found = compressions(matrix, vectors, PARTS)
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)
    # planted: without the mean
    moments = Recomputed().second_moments(vectors, PARTS) / len(array)
    assert np.abs(moments - wanted).max() > 1


# ---- in a diagnosis


def bowl(rng, size=450):
    """A quadratic problem of many parameters, and the Hessian products it was asked for."""
    values = np.append([40.0, 30.0, 20.0, 10.0], np.linspace(0, 1, size - 4))
    problem = problems.quadratic_problem(
        np.diag(values), np.zeros(size), rng.standard_normal((30, size)) * np.sqrt(values)
    )
    asked, product = [], problem.hessian_product

    def counted(theta, vectors):
        asked.append(1 if np.ndim(vectors) == 1 else np.shape(vectors)[1])
        return product(theta, vectors)

    problem.hessian_product = counted
    return problem, values, asked


def diagnosed(problem, theta, **changed):
    settings = {"batch_size": 3, "replacement": True, "learning_rate": 0.01, "num_pairs": 4}
    blocks = {"first": slice(0, 100), "second": slice(100, len(theta))}
    return diagnostics.measure(
        problem, theta, **settings | {"blocks": blocks, "rng": seeds.generator(5)} | changed
    )


def test_a_standard_diagnosis_takes_few_products_and_is_right(rng, monkeypatch):
    monkeypatch.setattr(problems.local_geometry, "DENSE_DIMENSION", 10)
    problem, values, asked = bowl(rng)
    theta = rng.standard_normal(len(values))
    found = diagnosed(problem, theta, relative_error=0.1)
    assert sum(asked) <= 50  # besides those of batches, which are other problems
    noise = problem.at(theta).noise.to_dense()
    exact = float(values @ noise.diagonal())
    assert_within_sampling_error(found["hessian_trace"].estimate, values.sum())
    assert_within_sampling_error(found["alignment"].estimate, exact)
    ratio = len(values) * exact / (values.sum() * np.trace(noise))
    assert abs(found["trace_ratio"].value - ratio) <= 5 * found["trace_ratio"].standard_error
    assert abs(found["between_blocks"].value) <= 5 * found["between_blocks"].standard_error + 1e-9
    for name, part in (("first", slice(0, 100)), ("second", slice(100, None))):
        row = found.blocks[name]
        assert abs(row["Tr H"] - values[part].sum()) <= 5 * row["Tr H error"] + 1e-9
        own = values[part] @ noise.diagonal()[part]
        assert abs(row["Tr(H Sigma)"] - own) <= 5 * row["Tr(H Sigma) error"] + 1e-9
    # the plan counts what was needed
    sizes = _planned_work.Sizes(len(values), 30, 3, 4, 1, 0.1, 2000, 8, True, False, False, False)
    parts = ("hessian_gradient", "pairs", "hessian_trace", "alignment", "blocks")
    planned = sum(_planned_work.PARTS[name](sizes).products for name in parts)
    assert planned / 1.5 < sum(asked) < 1.5 * planned


def test_where_too_many_probes_were_needed_the_noise_has_its_own_directions(rng, monkeypatch):
    monkeypatch.setattr(problems.local_geometry, "DENSE_DIMENSION", 10)
    monkeypatch.setattr(_shared_space, "MOST_SHARED", 1)
    problem, values, _ = bowl(rng)
    theta = rng.standard_normal(len(values))
    names = ["alignment", "between_blocks"]
    found = diagnosed(problem, theta, quantities=names, relative_error=0.05)
    exact = float(values @ problem.at(theta).noise.diagonal())
    assert_within_sampling_error(found["alignment"].estimate, exact)
    assert found["alignment"].details["num_pairs"] <= 32
    own = found.blocks["first"]["Tr(H Sigma)"] + found.blocks["second"]["Tr(H Sigma)"]
    assert own == pytest.approx(exact, rel=0.2)
