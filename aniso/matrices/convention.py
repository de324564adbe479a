"""Conventions of gradient covariances: one example, batch mean or diffusion, and their factors.

The literature often leaves open whether a covariance belongs to one example or to a batch,
includes the learning rate, and is centred. A :class:`Convention` is kept with the matrix. Each
conversion multiplies by one number; a second application is refused.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from aniso import checks

if TYPE_CHECKING:
    from aniso.typing import Array, Operator


@dataclass(frozen=True)
class Convention:
    """Convention of a matrix of gradient noise.

    Attributes
    ----------
    num_examples : int
        N, the number of examples.
    centred : bool
        True for a covariance, False for the uncentred second moment (the empirical Fisher matrix).
    batch_size : int or None
        Batch size m once converted to the covariance of a batch mean; None for one example.
    replacement : bool or None
        Whether the batch is drawn with replacement; None for one example.
    learning_rate : float or None
        Learning rate eta once converted to the diffusion of the SDE; None before.
    factor : float
        Additional factor of the matrix, besides these conversions.

    Examples
    --------
    >>> print(Convention(200).minibatch(20, replacement=False).diffusion(0.1))
    diffusion covariance: learning rate 0.1 × covariance of the mean of a batch of 20 of 200 \
examples without replacement
    """

    num_examples: int
    centred: bool = True
    batch_size: int | None = None
    replacement: bool | None = None
    learning_rate: float | None = None
    factor: float = 1.0

    @property
    def stage(self) -> str:
        """One of ``"one example"``, ``"mini-batch"``, ``"diffusion"``; ``"scaled"`` by a factor."""
        if self.factor != 1:
            return "scaled"
        if self.learning_rate is not None:
            return "diffusion"
        return "one example" if self.batch_size is None else "mini-batch"

    def minibatch(self, batch_size: int, *, replacement: bool) -> Convention:
        """Return the convention of the mean of a batch.

        Raises
        ------
        InputError
            If the matrix is uncentred, or no longer the covariance of one example.
        """
        if not self.centred:
            raise checks.InputError(
                f"this is the {self}; a batch mean has a centred covariance: expected the result "
                "of matrices.gradient_covariance"
            )
        if self.stage != "one example":
            already = "" if self.stage == "scaled" else "already "
            raise checks.InputError(
                f"this is {already}the {self}; expected the covariance of one example, so that the "
                "batch size enters once"
            )
        batch_size = checks.integer("batch_size", batch_size, low=1)
        checks.flag("replacement", replacement)
        return replace(self, batch_size=batch_size, replacement=bool(replacement))

    def diffusion(self, learning_rate: float) -> Convention:
        """Return the convention of the SDE whose Euler–Maruyama step is SGD.

        Raises
        ------
        InputError
            If the matrix is not the covariance of a batch mean.
        """
        if self.stage != "mini-batch":
            raise checks.InputError(
                f"this is the {self}; expected the covariance of a batch mean, from "
                "matrices.minibatch_covariance, so that the learning rate enters once"
            )
        learning_rate = checks.number("learning_rate", learning_rate, low=0)
        return replace(self, learning_rate=learning_rate)

    def scaled(self, factor: float) -> Convention | UnknownConvention:
        """Return the convention of the matrix times a number.

        Returns
        -------
        Convention or UnknownConvention
            Unknown where the product is no covariance, because the number is negative.

        Examples
        --------
        >>> print(Convention(200).scaled(3.0))
        3 × centred gradient covariance of one example of 200
        """
        number = getattr(factor, "item", lambda: factor)()
        product = self.factor * number if isinstance(number, numbers.Real) else math.nan
        if not 0 <= product < math.inf:
            return UnknownConvention(f"{factor} × {self}")
        return replace(self, factor=product)

    def __str__(self):
        if self.factor != 1:
            return f"{self.factor:g} × {replace(self, factor=1.0)}"
        if not self.centred:
            return f"uncentred second moment of the gradients of {self.num_examples} examples"
        if self.stage == "one example":
            return f"centred gradient covariance of one example of {self.num_examples}"
        drawn = "with" if self.replacement else "without"
        batch = (
            f"covariance of the mean of a batch of {self.batch_size} of {self.num_examples} "
            f"examples {drawn} replacement"
        )
        if self.stage == "mini-batch":
            return batch
        return f"diffusion covariance: learning rate {self.learning_rate:g} × {batch}"


@dataclass(frozen=True)
class UnknownConvention:
    """Unknown convention of a matrix that was computed from a covariance.

    Conversions to a mini-batch or to a diffusion are refused.

    Attributes
    ----------
    origin : str
        Description of the computation, for messages.
    """

    origin: str
    stage = "unknown"

    def scaled(self, factor: float) -> UnknownConvention:  # noqa: ARG002 (as of a Convention)
        """Return the same unknown convention."""
        return self

    def minibatch(self, batch_size: int, *, replacement: bool) -> NoReturn:
        """Refuse: the convention is unknown.

        Raises
        ------
        InputError
            At every call.
        """
        del batch_size, replacement
        raise checks.InputError(
            f"this is a {self}; expected the result of matrices.gradient_covariance"
        )

    def diffusion(self, learning_rate: float) -> NoReturn:
        """Refuse: the convention is unknown.

        Raises
        ------
        InputError
            At every call.
        """
        del learning_rate
        raise checks.InputError(
            f"this is a {self}; expected the result of matrices.minibatch_covariance"
        )

    def __str__(self):
        return f"matrix of unknown convention, {self.origin}"


def convention_of(matrix: Array | Operator) -> Convention | UnknownConvention | None:
    """Return the convention of an array or operator, None if neither it nor its parts have one.

    Parameters
    ----------
    matrix : array or LinearOperator
        Of SciPy's sums, products and multiples of operators, the parts are examined.

    Returns
    -------
    Convention, UnknownConvention or None

    Examples
    --------
    >>> from aniso.matrices import noise
    >>> covariance = noise.gradient_covariance([[1.0], [2.0]])
    >>> print(convention_of(covariance + covariance))
    matrix of unknown convention, computed from the centred gradient covariance of one example of 2
    """
    convention = getattr(matrix, "convention", None)
    if isinstance(convention, Convention | UnknownConvention):
        return convention
    parts = getattr(matrix, "args", None)
    if not isinstance(parts, tuple):
        return None
    known = [convention for convention in map(convention_of, parts) if convention is not None]
    if not known:
        return None
    if len(parts) == 1:
        return known[0]  # a transpose
    if type(matrix).__name__ == "_ScaledLinearOperator":
        return known[0].scaled(parts[1])
    described = " and the ".join(dict.fromkeys(map(str, known)))
    return UnknownConvention(f"computed from the {described}")


def check_stage(name, matrix, stage):
    """Refuse a matrix whose convention is of another stage; accept one without a convention.

    Raises
    ------
    InputError
        If the matrix has a convention, or was computed from one that has, and its stage is not
        `stage`, or it is not centred.

    Examples
    --------
    >>> from aniso.matrices import noise
    >>> check_stage("covariance", noise.gradient_covariance([[1.0], [2.0]]), "diffusion")
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: covariance is the centred gradient covariance of one example of 2; \
expected the diffusion covariance, from matrices.diffusion_covariance
    """
    convention = convention_of(matrix)
    if convention is None:
        return
    if convention.stage == stage and convention.centred:
        return
    maker = {
        "one example": "gradient_covariance",
        "mini-batch": "minibatch_covariance",
        "diffusion": "diffusion_covariance",
    }[stage]
    remedy = ""
    if convention.stage in ("scaled", "unknown"):
        remedy = ", or np.asarray of a dense one, which carries no convention"
    raise checks.InputError(
        f"{name} is the {convention}; expected the {stage} covariance, from "
        f"matrices.{maker}{remedy}"
    )


def minibatch_scale(num_examples: int, batch_size: int, *, replacement: bool) -> float:
    """Factor from one example to a batch mean, ``1/m`` or ``(1/m) (N - m)/(N - 1)``.

    Parameters
    ----------
    num_examples : int
        N, size of the population that batches are drawn from.
    batch_size : int
        m, examples per batch.
    replacement : bool
        Whether a batch may contain an example twice; there is no default because the two differ by
        the factor (N - m)/(N - 1).

    Returns
    -------
    float
        0 for a batch of all N examples without replacement, N = 1 included.

    Raises
    ------
    InputError
        If m < 1, or m > N without replacement.

    Examples
    --------
    >>> minibatch_scale(5, 2, replacement=True), minibatch_scale(5, 2, replacement=False)
    (0.5, 0.375)
    """
    num_examples = checks.integer("num_examples", num_examples, low=1)
    checks.flag("replacement", replacement)
    if replacement:
        return 1.0 / checks.integer("batch_size", batch_size, low=1)
    batch_size = checks.integer("batch_size", batch_size, low=1, high=num_examples, high_name="N")
    if batch_size == num_examples:
        return 0.0
    return (num_examples - batch_size) / (num_examples - 1) / batch_size
