"""Motion of SGD on examples, validated once: for ensembles and for first exits."""

from dataclasses import dataclass

import numpy as np

from aniso import checks
from aniso.closed_forms import checked_momentum
from aniso.langevin import drift_functions, example_sets, function_trials, functions
from aniso.langevin._kernels import example_chain, records, streams

SAMPLINGS = {
    "replacement": example_chain.REPLACEMENT,
    "no_replacement": example_chain.NO_REPLACEMENT,
    "epochs": example_chain.EPOCHS,
}
"""Sampling schemes of a batch. "replacement": independent draws. "no_replacement": no example twice
in a batch. "epochs": the next batch of a shuffled order; each epoch uses all examples once."""


@dataclass(frozen=True)
class ExampleMotion:
    """Validated settings of ``m <- beta m + g_B(theta)``, ``theta <- theta - eta m``, m = 0 first.

    Attributes
    ----------
    examples : aniso.langevin.example_sets.Examples
        The examples and the gradients of their losses.
    learning_rate : float
        eta.
    batch_size : int
        B.
    sampling : str
        A name in :data:`SAMPLINGS`.
    start : numpy.ndarray, shape (D,)
        theta of every chain at step 0.
    momentum : float
        beta.
    gradient, potential : object
        The functions of the examples, as kernels take them.
    """

    examples: example_sets.Examples
    learning_rate: float
    batch_size: int
    sampling: str
    start: np.ndarray
    momentum: float
    gradient: object
    potential: object

    @property
    def identity(self):
        """All that the motion depends on, for the fingerprint of a checkpoint."""
        examples = self.examples
        return (
            examples.num_examples,
            examples.gradient,
            examples.parameters,
            examples.potential,
            self.learning_rate,
            self.batch_size,
            self.sampling,
            self.momentum,
            self.start,
        )

    def scratch(self, num_orders=1):
        """Make the arrays of the shuffled orders of a cell, as :meth:`batches` reads them.

        `num_orders` is 1 if all lanes are in the same epoch, and else the number of lanes.
        """
        num_ordered = self.examples.num_examples if self.sampling == "epochs" else 1
        order = np.zeros((num_ordered, streams.LANES), np.int64)
        return {"_order": order, "_epoch_in_order": np.full(num_orders, -1)}

    def batches(self, arrays):
        """Return the record of the sampling scheme that kernels take."""
        return records.Batches(
            self.examples.num_examples,
            self.batch_size,
            SAMPLINGS[self.sampling],
            arrays["_order"],
            arrays["_epoch_in_order"],
        )


def validated(examples, learning_rate, batch_size, sampling, start, momentum=0.0):
    """Check the settings of a motion, and try the user's functions at the start and around it.

    Parameters
    ----------
    examples, learning_rate, batch_size, sampling, start, momentum
        As in :class:`ExampleMotion`; ``0 <= momentum < 1``.

    Returns
    -------
    ExampleMotion

    Raises
    ------
    InputError
        If an argument breaks its rule, or a function fails its trial.

    Examples
    --------
    >>> motion = validated(
    ...     example_sets.least_squares([[1.0]], [2.0]), 0.5, 1, "replacement", [0.0]
    ... )
    >>> motion.batch_size, motion.momentum
    (1, 0.0)
    """
    if not isinstance(examples, example_sets.Examples):
        raise checks.InputError(
            f"examples is a {type(examples).__name__}; expected a result of "
            "langevin.example_sets, for instance least_squares(inputs, targets)"
        )
    learning_rate = checks.number("learning_rate", learning_rate, low=0, strict=True)
    size = checks.integer(
        "batch_size", batch_size, low=1, high=examples.num_examples, high_name="N"
    )
    checks.one_of("sampling", sampling, list(SAMPLINGS))
    if sampling == "epochs" and examples.num_examples % size:
        raise checks.InputError(
            f"batch_size={size}; expected a divisor of N={examples.num_examples} with epochs"
        )
    momentum = checked_momentum(momentum)
    start = np.array(checks.array("start", start, shape=(examples.dimension,)))
    points = function_trials.points_around(start)
    function_trials.require_sound(
        "gradient",
        examples.gradient,
        functions.EXAMPLE_FUNCTION,
        points,
        examples.parameters,
        num_rows=examples.dimension,
        num_examples=examples.num_examples,
    )
    if examples.potential is not None:
        function_trials.require_sound(
            "potential",
            examples.potential,
            functions.ROW_FUNCTION,
            points,
            examples.parameters,
            finite=False,
        )
    return ExampleMotion(
        examples,
        learning_rate,
        size,
        sampling,
        start,
        momentum,
        functions.pointer(examples.gradient, functions.EXAMPLE_FUNCTION),
        functions.pointer(
            examples.potential or drift_functions.no_potential, functions.ROW_FUNCTION
        ),
    )
