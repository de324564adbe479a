"""The symmetry of an operator, measured on its products, and the rounding of its numbers."""

import weakref

import numpy as np

from aniso import checks
from aniso.estimates import power_of_two

# operators whose symmetry has been probed already
_PROBED = weakref.WeakSet()


def probe_once(name, value, operator):
    """Refuse an operator that is not symmetric; one that passed before is not probed again.

    Parameters
    ----------
    name : str
        Name for the message.
    value : LinearOperator
        Operator given by the user; the result of the test is remembered.
    operator : LinearOperator
        Operator that computes its products.

    Raises
    ------
    InputError
        As :func:`require_symmetric_forms`.
    """
    if getattr(value, "symmetric_by_construction", False):
        return
    try:
        if value in _PROBED:
            return
        _PROBED.add(value)
    except TypeError:
        pass  # an object that cannot be remembered is probed at every call
    try:
        require_symmetric_products(name, operator)
    except BaseException:
        _PROBED.discard(value)
        raise


def require_symmetric_products(name, operator):
    """Refuse an operator whose products with two fixed random vectors are not symmetric.

    Raises
    ------
    InputError
        As :func:`require_symmetric_forms`.

    Examples
    --------
    >>> from scipy.sparse.linalg import aslinearoperator
    >>> require_symmetric_products("hessian", aslinearoperator(np.array([[1.0, 2.0], [0.0, 1.0]])))
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: hessian is not symmetric: x.T @ (A @ z) and z.T @ (A @ x) differ by \
5.1 for random vectors x and z; expected a symmetric operator, for instance (A + A.T) / 2
    """
    dimension = operator.shape[0]
    vectors = np.random.Generator(np.random.Philox(key=0)).standard_normal((dimension, 2))
    require_symmetric_forms(name, operator, vectors, np.asarray(operator @ vectors))


def require_symmetric_forms(name, operator, vectors, products):
    """Refuse an operator whose products with random vectors are not symmetric.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    operator : LinearOperator
        Operator of shape (D, D) to test.
    vectors, products : ndarray, shape (D, K)
        Independent random vectors with their products; the first eight are compared.

    Raises
    ------
    InputError
        If a product has the wrong shape, or is not real or not finite. If two forms ``x^T A z``
        and ``z^T A x`` differ by more than the tolerance.

    Notes
    -----
    Tolerance: ``16 sqrt(eps) (|x| |A z| + |z| |A x|) / sqrt(D)``, eps the rounding of the
    operator's numbers. A smaller asymmetry cannot be distinguished from rounding.
    """
    if products.shape != vectors.shape or products.dtype.kind not in "biuf":
        raise checks.InputError(
            f"{name} has products of shape {products.shape} and dtype {products.dtype} with "
            f"vectors of shape {vectors.shape}; expected real numbers of the same shape"
        )
    finite_products(products)
    tolerance = symmetry_tolerance(operator, products) / np.sqrt(len(vectors))
    vectors, products = vectors[:, :8], products[:, :8].astype(np.float64)
    unit = power_of_two(products)
    products /= unit
    forms = vectors.T @ products
    sizes = np.outer(np.linalg.norm(vectors, axis=0), np.linalg.norm(products, axis=0))
    differences = np.abs(forms - forms.T)
    if (differences > tolerance * (sizes + sizes.T)).any():
        raise checks.InputError(
            f"{name} is not symmetric: x.T @ (A @ z) and z.T @ (A @ x) differ by "
            f"{unit * float(differences.max()):.2g} for random vectors x and z; expected a "
            "symmetric operator, for instance (A + A.T) / 2"
        )


def symmetry_tolerance(*numbers):
    """Relative asymmetry that rounding may cause, ``16 sqrt(eps)`` of the coarsest numbers."""
    return 16 * np.sqrt(rounding(*numbers))


def rounding(*numbers):
    """Rounding unit eps of the coarsest of some arrays and operators.

    Examples
    --------
    >>> rounding(np.ones(1, np.float32), np.ones(1)) == 2**-23
    True
    """
    types = [np.dtype(getattr(each, "dtype", None) or np.float64) for each in numbers]
    return max(float(np.finfo(t if t.kind == "f" else np.float64).eps) for t in types)


def finite_products(products):
    """Return the products of an operator, or a number computed from them, if all are finite.

    Raises
    ------
    InputError
        If an entry is not finite.
    """
    if not np.isfinite(products).all():
        raise checks.InputError(
            "the operator returned a product that is not finite; expected finite numbers"
        )
    return products
