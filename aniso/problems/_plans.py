"""The plan of a derivative: the method and its cost, stated before it is computed."""

import math
import statistics
import time
import warnings
from dataclasses import dataclass

from aniso import memory

LONG_LOOP = 1000
NUM_TIMED = 8  # the first passes fill caches, or record the trace for the other passes
# measured on perceptrons: a pass is fastest while its largest array stays in
# the second-level cache; a block of Hessian products shares no forward pass between its columns,
# so it is faster only while one column's arrays are so small that Python's overhead dominates
ROW_PASS_ENTRIES = 2**17
BLOCK_PASS_ENTRIES = 2**16
BLOCK_COLUMN_ENTRIES = 2**11
# one trace of a batch costs a few hundred microseconds of Python, which this many
# entries outweigh; more leave the cache
TRACE_PASS_ENTRIES = 2**18
FAST_FORM = (
    "to be fast, theta has to meet the examples in operations on all of them at once, as in "
    "anp.dot(inputs, theta[:-1]) + theta[-1] or theta[0] * inputs[:, 0] (products, slices, shapes "
    "and functions of single entries of autograd.numpy), without a loop over examples"
)
FEWER_VECTORS = (
    "a product with fewer vectors takes fewer passes (problem.at(theta).hessian); "
    "networks.Network has faster ones for networks"
)


class LongLoopWarning(UserWarning):
    """A loop of many backward passes begins; the message states their number and the time."""


@dataclass(frozen=True)
class Plan:
    """Method and cost of one derivative.

    Attributes
    ----------
    quantity : str
        "per_example_gradients" or "hessian_product".
    method : str
        "broadcast" (leading axes, several rows or columns a pass), "trace" (several rows from one
        trace of a batch) or "loop" (one a pass).
    num_passes : int
        Number of backward passes.
    chunk : int
        Rows or columns computed by one pass.
    reason : str
        Reason for the method.

    Examples
    --------
    >>> print(Plan("per_example_gradients", "loop", 50, 1, "the loss does not broadcast"))
    per_example_gradients: loop of 50 backward passes; the loss does not broadcast
    """

    quantity: str
    method: str
    num_passes: int
    chunk: int
    reason: str

    def __str__(self):
        if self.num_passes == 1:
            shape = "one pass"
        elif self.method == "loop":
            shape = f"loop of {self.num_passes} backward passes"
        else:
            shape = f"{self.num_passes} passes of {self.chunk} at a time"
        return f"{self.quantity}: {shape}; {self.reason}"

    def chunks(self, total):
        """Return slices that cover ``range(total)`` in order."""
        return slices(total, self.chunk)

    @property
    def is_long(self):
        """Whether it is a loop of more than 1000 passes."""
        return self.method == "loop" and self.num_passes > LONG_LOOP

    def timed_chunks(self, total, warn):
        """Yield the slices of :meth:`chunks`; time the first ones of a long loop, and warn.

        Parameters
        ----------
        total : int
            Length of the range.
        warn : bool
            Whether to warn at all.

        Yields
        ------
        slice
        """
        durations = []
        for chunk in self.chunks(total):
            start = time.perf_counter()
            yield chunk
            if warn and self.is_long and len(durations) < NUM_TIMED:
                durations.append(time.perf_counter() - start)
                if len(durations) == min(NUM_TIMED, self.num_passes):
                    _warn_of_long_loop(self, statistics.median(durations))


def slices(total, largest):
    """Return even slices of at most `largest` (at least 1) that cover ``range(total)`` in order.

    Examples
    --------
    >>> slices(5, 3)
    [slice(0, 3, None), slice(3, 5, None)]
    """
    num_slices = math.ceil(total / max(1, largest))
    length = math.ceil(total / max(1, num_slices))
    return [slice(i * length, min((i + 1) * length, total)) for i in range(num_slices)]


def plan_rows(num_examples, num_parameters, largest, broadcasts, is_followed=lambda: False):
    """Return the plan of per-example gradients.

    Parameters
    ----------
    num_examples, num_parameters : int
        N and D.
    largest : int
        Entries of the largest intermediate array of one evaluation on all examples.
    broadcasts : bool
        Whether the loss broadcasts over leading axes.
    is_followed : callable
        Whether :mod:`aniso.problems._example_rows` follows the loss; asked only where it matters.

    Returns
    -------
    Plan

    Notes
    -----
    Broadcasting copies theta once an example, so the passes are cut to 2^17 entries; from
    D = 2^16 on not even two examples fit. Then, and where the loss does not broadcast, one trace
    gives the rows of as many examples as fit into 2^18 entries. Else there is one pass an example.
    """
    per_example = max(num_parameters, largest // num_examples)
    plan = _planned(
        "per_example_gradients", num_examples, ROW_PASS_ENTRIES // per_example, broadcasts
    )
    chunk = TRACE_PASS_ENTRIES // per_example
    if plan.method != "loop" or num_examples < 2 or chunk < 2 or not is_followed():
        return plan
    num_passes = math.ceil(num_examples / chunk)
    return Plan(
        plan.quantity,
        "trace",
        num_passes,
        math.ceil(num_examples / num_passes),
        "one trace of a batch gives the rows of its examples",
    )


def plan_products(num_vectors, num_parameters, largest, broadcasts):
    """Return the plan of Hessian products; arguments as for :func:`plan_rows`.

    Notes
    -----
    The loop traces the gradient once and goes back through that trace for every vector; a
    broadcast block repeats the forward pass for every column. The block is up to ten times
    faster while the arrays of one column have fewer than 2^11 entries, the loop beyond.
    """
    per_column = max(num_parameters, largest)
    chunk = BLOCK_PASS_ENTRIES // per_column if per_column <= BLOCK_COLUMN_ENTRIES else 1
    return _planned("hessian_product", num_vectors, chunk, broadcasts)


def _planned(quantity, total, largest_chunk, broadcasts):
    if not broadcasts:
        return Plan(quantity, "loop", total, 1, "the loss does not broadcast")
    if total > 1 and largest_chunk < 2:
        return Plan(quantity, "loop", total, 1, "its arrays are too large to gain by broadcasting")
    num_passes = math.ceil(total / max(largest_chunk, 1))
    reason = "the loss broadcasts over leading axes"
    return Plan(quantity, "broadcast", num_passes, math.ceil(total / max(num_passes, 1)), reason)


def _warn_of_long_loop(plan, seconds_per_pass):
    seconds = plan.num_passes * seconds_per_pass
    remedy = FAST_FORM if plan.quantity == "per_example_gradients" else FEWER_VECTORS
    warnings.warn(f"{plan}; about {seconds:.2g} s; {remedy}", LongLoopWarning, stacklevel=4)


def require_matrix(num_rows, num_columns, what, alternative):
    """Refuse a float64 matrix that would not fit, with its size and the alternative.

    Raises
    ------
    AllocationRefused
        If it needs more than 90 % of the available memory.
    """
    memory.require(8 * num_rows * num_columns, f"{what}, {num_rows} × {num_columns}", alternative)
