"""Checks of a JAX loss before its derivatives are used, on a few examples.

Derivatives are compared with differences, in double precision where the loss can be computed in it.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from aniso import checks
from aniso.frameworks import _jax_data, _jax_losses, _jax_products, _jax_tokens, _jax_whole_loss
from aniso.frameworks._jax_parameters import precision

_NUM_EXAMPLES = 8
_STEP_AWAY = 0.05
_TOLERANCES = {"float64": 1e-9, "float32": 1e-4}
_STEPS = {"float64": (1e-4, 1e-5, 1e-6), "float32": (3e-2, 1e-2, 3e-3)}
# errors of differences: of the step's second order, and of rounding
_SLACK = {"float64": 1e-5, "float32": 2e-2}
_LONG_STEP = 0.1  # a loss that does not change over it is constant


@dataclass(frozen=True)
class CheckedLoss:
    """Findings about the derivatives of a loss.

    Attributes
    ----------
    products : Products
        Compiled derivatives.
    hessian_way : {"hessian_forward", "hessian_backward"} or None
        Right way to multiply with the Hessian; None where there is none.
    projects : bool
        Whether forward mode is right for products with the rows.
    reason : str
        Why there is no way for the Hessian; empty where there is one.
    """

    products: _jax_products.Products
    hessian_way: str | None
    projects: bool
    reason: str

    def require_second_order(self):
        """Return the way to multiply with the Hessian; refuse where there is none."""
        if self.hessian_way is None:
            raise checks.InputError(
                f"second derivatives of this loss do not exist: {self.reason}; expected a loss "
                "that JAX differentiates twice; first-order quantities, losses, gradient and noise "
                "are there"
            )
        return self.hessian_way


def check(loss, parameters, theta, data, dtype, tokens=None, chunk_size=None):
    """Return the :class:`CheckedLoss` of a loss at theta, shape (D,).

    Parameters
    ----------
    loss : callable
        ``(params, inputs, targets) -> array``.
    parameters : Parameters
        The pytree of theta.
    theta : ndarray, shape (D,)
        Parameters.
    data : pair of pytrees of ndarray
        All examples.
    dtype : numpy.dtype
        Precision of the problem.
    tokens : tuple, optional
        The examples, where they are tokens of the sequences: see :func:`_jax_tokens.positions_of`.
    chunk_size : int, optional
        Examples of one pass.

    Returns
    -------
    CheckedLoss

    Raises
    ------
    InputError
        If losses are not finite, random or constant, or a first derivative is wrong.
    InteractingExamples
        If examples depend on each other.
    """
    try:
        return _checked(loss, parameters, theta, data, np.dtype(np.float64), tokens, chunk_size)
    except checks.InputError:
        if dtype == np.float64:
            raise
    # a loss that is written for its own precision
    return _checked(loss, parameters, theta, data, dtype, tokens, chunk_size)


def _checked(loss, parameters, theta, data, dtype, tokens, chunk_size):
    name = dtype.name
    with precision(dtype):
        # data may be in order, by class for instance
        chosen = _jax_data.spread(_jax_data.count(data), _NUM_EXAMPLES)
        if tokens is not None:
            chosen, few_tokens = _jax_tokens.some_sequences(tokens, _NUM_EXAMPLES)
        few = _jax_data.taken(data, chosen)
        few, theta = _jax_data.placed(few, dtype), jnp.array(theta, dtype=dtype)
        _require_indices(loss, parameters.tree(theta), data, dtype)
        tolerance = _TOLERANCES[name]

        def found_at(tree):
            if tokens is None:
                return _jax_losses.of_loss(loss, tree, few, tolerance), few
            return _jax_tokens.of_loss(loss, tree, few, few_tokens, tolerance)

        (losses, few), tree = _found_away(found_at, parameters, theta)
        products = _jax_products.Products(losses, parameters)
        trial = _Trial(products, theta, few, name)
        rows = trial.require_first_order()
        if len(chosen) < _jax_data.count(data):
            _jax_whole_loss.require_whole(losses, tree, data, dtype, tokens, tolerance, chunk_size)
        projects, _ = trial.is_right("project", rows @ trial.directions)
        reasons = []
        for way in ("hessian_forward", "hessian_backward"):
            right, reason = trial.hessian_is_right(way, rows)
            if right:
                return CheckedLoss(products, way, projects, "")
            reasons.append(f"{way.removeprefix('hessian_')}: {reason}")
    return CheckedLoss(products, None, projects, "; ".join(reasons))


def _found_away(found_at, parameters, theta):
    """Return what the loss reduces a small step away from theta, and the parameters there.

    Weights that start at zero and data that are fitted exactly make losses equal or zero: these
    look like any reduction, and hide how examples interact. Where the loss is not finite a step
    away, theta counts.
    """
    tree = parameters.tree(theta)
    found = found_at(tree)
    drawn = np.random.Generator(np.random.Philox(key=1)).standard_normal(theta.size)
    step = _STEP_AWAY * drawn / np.linalg.norm(drawn)
    away = parameters.tree(theta + jnp.asarray(step, dtype=theta.dtype))
    try:
        return found_at(away), away
    except checks.InteractingExamples:
        raise
    except Exception:  # out of the domain of the loss
        return found, tree


class _Trial:
    """Derivatives on a few examples at one theta, in one precision."""

    def __init__(self, products, point, few, name):
        self.products, self.point, self.few = products, point, few
        self.tolerance, self.steps, self.slack = _TOLERANCES[name], _STEPS[name], _SLACK[name]
        drawn = np.random.Generator(np.random.Philox(key=0)).standard_normal((point.size, 2))
        self.directions = (drawn / np.linalg.norm(drawn, axis=0)).astype(name)

    def require_first_order(self):
        """Return the gradients of the examples (n, D); refuse wrong ones and a constant loss."""
        values = self.losses(self.point)
        try:
            rows = np.asarray(self.products.rows(self.point, self.few))
            slope = self.slope(self.point)
        except Exception as error:
            raise checks.InputError(
                f"JAX can't differentiate the loss: {_said(error)}; expected a loss of jax.numpy "
                "functions without Python branches on values"
            ) from error
        if not np.isfinite(rows).all():
            raise checks.InputError(
                "a gradient is not finite at params; expected a differentiable loss"
            )
        if not rows.any() and all(
            np.array_equal(self.losses(self.point + _LONG_STEP * d), values)
            for d in self.directions.T
        ):
            raise checks.InputError(
                "the loss does not depend on params; expected a loss that uses them"
            )
        size = max(float(np.linalg.norm(rows, axis=1).max()), 1e-6 * float(np.abs(values).max()))
        differences = [
            np.stack(
                [
                    (self.losses(self.point + h * d) - self.losses(self.point - h * d)) / (2 * h)
                    for d in self.directions.T
                ],
                axis=1,
            )
            for h in self.steps
        ]
        # a kink between two points spoils one step, not all
        errors = np.min([np.abs(part - rows @ self.directions) for part in differences], axis=0)
        if errors.max() > self.slack * size:
            raise checks.InputError(
                "the gradients that JAX returns disagree with differences of the losses by "
                f"{errors.max():.3g} at scale {size:.3g}; expected right derivatives, without "
                "jax.lax.stop_gradient, and right custom rules"
            )
        scale = self.tolerance * max(float(np.abs(rows).max()), 1e-30)
        combined, reason = self.is_right("combine", rows.sum(axis=0)[None], np.ones((1, len(rows))))
        if not combined or np.abs(slope - rows.sum(axis=0)).max() > len(rows) * scale:
            raise checks.InputError(
                "the mean of the examples' gradients differs from the gradient of the mean loss: "
                f"{reason or 'wrong'}; expected losses of examples that do not interact"
            )
        return rows

    def is_right(self, way, expected, given=None):
        """Return whether a product equals what is expected, and why not."""
        given = self.directions if given is None else given.astype(self.directions.dtype)
        try:
            found = np.asarray(getattr(self.products, way)(self.point, self.few, given))
        except Exception as error:
            return False, _said(error)
        error = np.abs(found - expected).max()
        right = error <= 10 * self.tolerance * max(float(np.abs(expected).max()), 1e-30)
        return bool(right), "" if right else "wrong"

    def hessian_is_right(self, way, rows):
        """Return whether Hessian products equal differences and are symmetric, and why not."""
        call = getattr(self.products, way)
        try:
            found = np.asarray(call(self.point, self.few, self.directions))
            alone = np.asarray(call(self.point, self.few, self.directions[:, :1]))
        except Exception as error:
            return False, _said(error)
        size = float(np.abs(found).max()) + float(np.abs(rows).max())
        differences = [
            np.stack(
                [
                    (self.slope(self.point + h * d) - self.slope(self.point - h * d)) / (2 * h)
                    for d in self.directions.T
                ],
                axis=1,
            )
            for h in self.steps
        ]
        errors = np.min([np.abs(part - found).max(axis=0) for part in differences], axis=0)
        forms = self.directions.T @ found
        right = (
            np.isfinite(found).all()
            and errors.max() <= self.slack * size
            and np.abs(forms - forms.T).max() <= self.tolerance * size * len(found)
            and np.abs(found[:, :1] - alone).max() <= self.tolerance * size
        )
        return bool(right), "" if right else "wrong"

    def losses(self, theta):
        try:
            return np.asarray(self.products.losses(theta, self.few))
        except Exception as error:
            raise checks.InputError(
                f"JAX can't compile the loss: {_said(error)}; expected a loss of jax.numpy "
                "functions without Python branches on values"
            ) from error

    def slope(self, theta):
        return np.asarray(self.products.gradient(theta, self.few)[1])


def _require_indices(loss, params, data, dtype):
    """Refuse whole numbers in the data that index beyond an array, which JAX silently clips."""
    whole = any(leaf.dtype.kind in "iu" for leaf in jax.tree_util.tree_leaves(data))
    if not whole or not callable(loss):
        return
    checked = jax.jit(checkify.checkify(loss, errors=checkify.index_checks))
    try:
        error, _ = checked(params, *_jax_data.placed(data, dtype))
    except Exception:  # a primitive that has no such check
        return
    message = error.get()
    if message:
        raise checks.InputError(
            f"the loss reads beyond an array: {message.splitlines()[0]}; expected labels and "
            "indices within the range: JAX itself returns a wrong number there"
        )


def _said(error):
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}, {lines[0]}"
