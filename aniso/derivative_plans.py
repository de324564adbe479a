"""How a derivative of a user's loss will be computed, and what it will cost, stated beforehand."""

import math
import warnings
from dataclasses import dataclass

from aniso import memory

LONG_LOOP = 1000


class LongLoopWarning(UserWarning):
    """A loop of many backward passes is about to run; says how many, and for how long."""


@dataclass(frozen=True)
class Plan:
    """Way in which one derivative is computed.

    Attributes
    ----------
    quantity : str
        "per_example_gradients" or "hessian_product".
    method : str
        "broadcast" (leading axes, several rows or columns a pass) or "loop" (one a pass).
    num_passes : int
        Number of backward passes.
    chunk : int
        Rows or columns computed by one pass.
    reason : str
        Why this method.

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
        """Slices that cover ``range(total)`` in order."""
        return [
            slice(start, min(start + self.chunk, total)) for start in range(0, total, self.chunk)
        ]


def planned(quantity, total, one_pass, largest_chunk, reason):
    """A broadcast plan in even chunks of at most `largest_chunk`, or a loop."""
    if not one_pass:
        return Plan(quantity, "loop", total, 1, reason)
    num_passes = math.ceil(total / max(1, min(total, largest_chunk)))
    return Plan(quantity, "broadcast", num_passes, math.ceil(total / num_passes), reason)


def warn_of_long_loop(plan, seconds_per_pass):
    """Warning with the number of passes and an estimate of seconds, for loops above 1000."""
    if plan.method == "loop" and plan.num_passes > LONG_LOOP:
        warnings.warn(
            f"{plan}; about {plan.num_passes * seconds_per_pass:.2g} s",
            LongLoopWarning,
            stacklevel=4,
        )


def require_matrix(num_rows, num_columns, what, alternative):
    """Refuse a float64 matrix that would not fit, with its size and the alternative.

    Raises
    ------
    AllocationRefused
        If it needs more than 90 % of the available memory.
    """
    memory.require(8 * num_rows * num_columns, f"{what}, {num_rows} × {num_columns}", alternative)
