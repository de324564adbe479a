"""Texts of messages for values that are no array of numbers, with their remedies."""

import math
import numbers

import numpy as np

# Parts of the names of arguments, and the member of a local geometry that such an argument is.
_MEMBERS = {
    "covariance": "noise",
    "noise": "noise",
    "gradients": "example_gradients",
    "gradient": "gradient",
    "hessian": "hessian",
    "matrix": "hessian",
    "theta": "theta",
}


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
        Parameters as given.
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
    """Return the remedy for an operator of another package, or an object with matrices, or None.

    Examples
    --------
    >>> takes_its_place("hessian", np.eye(2))
    """
    if hasattr(value, "to_scipy") and not hasattr(value, "matvec"):
        return (
            f"{name} is a {type(value).__name__}; expected an array or a SciPy LinearOperator: "
            f"{name}.to_scipy() is one"
        )
    member = member_to_give(name, value)
    if member is not None:
        return (
            f"{name} is a {type(value).__name__}; expected an array or a SciPy LinearOperator, for "
            f"instance {member}"
        )
    return None


def member_to_give(name, value):
    """Return the member of a problem or of its local geometry that an argument means, or None.

    Parameters
    ----------
    name : str
        Name of the argument: of a covariance, a Hessian, gradients or parameters.
    value : object
        A problem, its local geometry, or anything else.

    Returns
    -------
    str or None

    Examples
    --------
    >>> from aniso import problems
    >>> at = problems.quadratic_problem([[2.0]], [0.0], [[1.0], [-1.0]]).at([3.0])
    >>> member_to_give("covariance", at), member_to_give("matrix", at.problem)
    ('at.noise', 'problem.at(theta).hessian')
    """
    # members of the class, because those of the object would be computed
    kind = type(value)
    if hasattr(kind, "hessian_for") and hasattr(kind, "by_block"):
        geometry = "at"
    elif hasattr(kind, "hessian_product") and hasattr(kind, "example_gradients"):
        geometry = "problem.at(theta)"
    else:
        return None
    for part, member in _MEMBERS.items():
        if part in name:
            return f"{geometry}.{member}"
    return None


def _is_array(part):
    return getattr(part, "ndim", 0) > 0 or isinstance(part, (list, tuple))


def _remedy(name, value):
    member = member_to_give(name, value)
    if member is not None:
        dense = member.endswith(("noise", "hessian"))
        return f"{member}.to_dense() is one" if dense else f"{member} is one"
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
    if callable(value) and not isinstance(value, type) and not hasattr(value, "shape"):
        return f"call it, and give what it returns: {name}(...)"
    return None


def not_labels(name, given, num_classes):
    """Return the remedy for an array of class labels in another form, "" if it has none.

    Parameters
    ----------
    name : str
        Name of the argument.
    given : array
        The labels as given.
    num_classes : int
        C.

    Returns
    -------
    str

    Examples
    --------
    >>> not_labels("targets", np.eye(3), 3)
    '; targets holds one-hot rows: numpy.argmax(targets, axis=1) gives the labels'
    >>> not_labels("targets", np.array([1, 2, 3]), 3)
    '; targets counts from 1: targets - 1 counts from 0'
    >>> not_labels("targets", np.array([-1, 1]), 2)
    '; targets has the signs -1 and 1: (targets + 1) // 2 gives the labels 0 and 1'
    """
    if given.ndim == 2 and given.shape[1] == 1:
        return f"; {name} is a column: {name}[:, 0] gives the labels"
    if given.ndim == 2 and ((given == 0) | (given == 1)).all() and (given.sum(axis=1) == 1).all():
        return f"; {name} holds one-hot rows: numpy.argmax({name}, axis=1) gives the labels"
    if given.ndim == 2 and given.shape[1] == num_classes:
        return f"; {name} has a number for each class: numpy.argmax({name}, axis=1) gives labels"
    if given.ndim != 1 or given.size == 0:
        return ""
    if num_classes == 2 and np.isin(given, (-1, 1)).all():
        return f"; {name} has the signs -1 and 1: ({name} + 1) // 2 gives the labels 0 and 1"
    if given.min() == 1 and given.max() == num_classes:
        return f"; {name} counts from 1: {name} - 1 counts from 0"
    return ""
