"""Derivatives that are written out for the searches, against automatic differentiation."""

import numpy as np
import pytest
import reference_small_network as reference
from autograd import grad, jacobian
from tolerances import assert_equal_up_to_rounding

from aniso.propositions import searched_spectra, small_quantities
from aniso.propositions.settings import Settings
from aniso.propositions.small_networks import SmallNetwork

LOSSES = ("clipped squared", "logistic")


def usable_points(loss, count=8):
    """Points with enough active examples, and a leading eigenvalue that stands apart."""
    found = []
    for x in SmallNetwork(loss).starts(Settings("quick"), "derivatives"):
        values = small_quantities.quantities(x, loss)
        at = small_quantities._place(x, loss)
        if np.isfinite(values).all() and at.eigenvalues[-1] > 1.2 * at.eigenvalues[-2]:
            found.append(x)
        if len(found) == count:
            return found
    raise AssertionError("no usable points")


@pytest.mark.parametrize("loss", LOSSES)
def test_the_quantities_of_the_small_network_and_their_derivatives(loss, rng):
    for x in usable_points(loss):
        u, cotangent = reference.leading_vector(x, loss), rng.standard_normal(5)

        def plain(y, u=u):
            return reference.quantities(y, loss, u)

        values, expected = plain(x), jacobian(plain)(x)
        np.testing.assert_allclose(small_quantities.quantities(x, loss), values, rtol=1e-10)

        def along(y, cotangent=cotangent):
            return (cotangent * small_quantities.quantities(y, loss)).sum()

        found = grad(along)(x)
        # a gap of a sixth of the eigenvalue: a hundredfold of rounding in the eigenvector
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, cotangent @ expected, atol=1e-10 * scale * 5)
        # planted: without the motion of the eigenvector
        fixed = jacobian(lambda y, u=u: _at_fixed_vector(y, loss, u))(x)
        assert np.abs(found - cotangent @ fixed).max() > 1e-6 * scale


def _at_fixed_vector(x, loss, vector):
    kept, reference.refined = reference.refined, lambda _, v: v
    try:
        return reference.quantities(x, loss, vector)
    finally:
        reference.refined = kept


@pytest.mark.parametrize("loss", LOSSES)
def test_many_points_at_once_give_the_values_of_each(loss):
    points = SmallNetwork(loss).starts(Settings("quick"), "derivatives")[:60]
    together = small_quantities.quantities(points, loss)
    alone = np.array([small_quantities.quantities(x, loss) for x in points])
    assert np.isnan(together).any() == (loss == "clipped squared")
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_the_sides_of_proposition1_and_their_derivatives(rng):
    caps, x = np.array([1.0, 0.3, 0.3]), rng.standard_normal(3 + 16)
    expected = reference.sides(x, caps)
    assert_equal_up_to_rounding(searched_spectra.sides(x, caps), expected, num_terms=32)
    by_autograd = jacobian(lambda y: reference.sides(y, caps))(x)
    for number in range(3):
        found = grad(lambda y, k=number: searched_spectra.sides(y, caps)[k])(x)
        assert_equal_up_to_rounding(found, by_autograd[number], num_terms=32)
        assert np.abs(found - by_autograd[number - 1]).max() > 1e-3
