"""Texts of messages for values that are no array of numbers, with their remedies."""

import math
import numbers

import numpy as np


def not_an_array(name, value, *, error=None):
    """Return the message for a value that NumPy can't turn into an array of numbers.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        Its value.
    error : Exception, optional
        Exception that NumPy raised.

    Returns
    -------
    str

    Examples
    --------
    >>> not_an_array("targets", None)
    'targets=None; expected an array of real numbers'
    >>> import scipy.sparse
    >>> not_an_array("hessian", scipy.sparse.eye_array(2))
    'hessian is a dia_array; expected an array of real numbers: hessian.toarray()'
    """
    if value is None:
        return f"{name}=None; expected an array of real numbers"
    kind, remedy = type(value).__name__, _remedy(name, value)
    if remedy is not None:
        return f"{name} is a {kind}; expected an array of real numbers: {remedy}"
    if error is not None:
        return f"{name} is not an array of numbers: {error}"
    if np.ndim(value) == 0:
        return f"{name} is a {kind}; expected an array of real numbers"
    entry = np.asarray(value, dtype=object).flat[0]
    kind = type(entry).__name__
    if isinstance(entry, numbers.Real):
        return f"{name} has dtype object; expected real numbers: {name}.astype(float)"
    return f"{name} has entries of type {kind}; expected real numbers"


def not_flat_parameters(theta, num_parameters=None):
    """Return the message for parameters that are no flat vector of the right length, or None.

    Parameters
    ----------
    theta : object
    num_parameters : int, optional
        D, if known.

    Returns
    -------
    str or None

    Examples
    --------
    >>> not_flat_parameters(np.ones((2, 1)), 2)
    'theta has shape (2, 1); expected (2), one flat vector of the D=2 parameters: \
numpy.ravel(theta) is one'
    >>> print(not_flat_parameters({"weights": np.ones((2, 2)), "biases": np.ones(2)}))
    theta is a dict of 2 parts; expected one flat vector: \
numpy.concatenate([numpy.ravel(part) for part in theta.values()])
    >>> not_flat_parameters([1.0, 2.0], 2)
    """
    parts = theta.values() if isinstance(theta, dict) else theta
    if isinstance(theta, dict) or (
        isinstance(theta, (list, tuple)) and any(_is_array(part) for part in parts)
    ):
        shown = "theta.values()" if isinstance(theta, dict) else "theta"
        remedy = f"numpy.concatenate([numpy.ravel(part) for part in {shown}])"
        if any(hasattr(part, "detach") for part in parts):
            remedy = f"torch.nn.utils.parameters_to_vector({shown}).detach().cpu().numpy()"
        what = f"{type(theta).__name__} of {len(theta)} parts"
        return f"theta is a {what}; expected one flat vector: {remedy}"
    if hasattr(theta, "shape"):
        shape = tuple(theta.shape)
    elif isinstance(theta, (list, tuple)):
        shape = (len(theta),)
    else:
        return None
    if num_parameters is None or shape == (num_parameters,):
        return None
    message = (
        f"theta has shape {shape}; expected ({num_parameters}), one flat vector of the "
        f"D={num_parameters} parameters"
    )
    return message + (": numpy.ravel(theta) is one" if math.prod(shape) == num_parameters else "")


def takes_its_place(name, value):
    """Return the remedy for an operator of another package than SciPy, None for other values.

    Examples
    --------
    >>> takes_its_place("hessian", np.eye(2))
    """
    if hasattr(value, "to_scipy") and not hasattr(value, "matvec"):
        return (
            f"{name} is a {type(value).__name__}; expected an array or a SciPy LinearOperator: "
            f"{name}.to_scipy() is one"
        )
    return None


def _is_array(part):
    return getattr(part, "ndim", 0) > 0 or isinstance(part, (list, tuple))


def _remedy(name, value):
    if hasattr(value, "detach"):
        return f"{name}.detach().cpu().numpy()"
    if hasattr(value, "state_dict"):
        return "torch.nn.utils.parameters_to_vector(module.parameters()).detach().cpu().numpy()"
    if hasattr(value, "square_sums"):
        return "matrices.gradient_covariance takes gradients that no array holds"
    if hasattr(value, "toarray"):
        return f"{name}.toarray()"
    if hasattr(value, "to_dense"):
        return f"{name}.to_dense() forms it"
    if hasattr(value, "to_scipy"):
        return f"{name}.to_scipy() @ numpy.eye({value.shape[-1]}) forms it"
    if hasattr(value, "matvec"):
        return f"{name} @ numpy.eye({value.shape[-1]}) forms it"
    return None
