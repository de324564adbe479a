"""Computations that several tasks share: each runs once, in whatever process has time."""

import functools
from dataclasses import dataclass


class Remembered:
    """A function of a module that keeps its values, and takes those of other processes.

    Parameters
    ----------
    function : callable
        Of hashable arguments. It is called once for each of them.

    Attributes
    ----------
    values : dict
        Values by the tuple of arguments.

    Examples
    --------
    >>> squared = Remembered(lambda x: x * x)
    >>> squared(3), squared.values
    (9, {(3,): 9})
    >>> squared.values[4,] = 16  # computed elsewhere
    >>> squared(4)
    16
    """

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.values = {}

    def __call__(self, *arguments):
        if arguments not in self.values:
            self.values[arguments] = self.__wrapped__(*arguments)
        return self.values[arguments]

    def __reduce__(self):
        # pickled as any function of a module: by its name
        return self.__qualname__


@dataclass(frozen=True)
class Need:
    """A value of a remembered function that a task needs.

    Attributes
    ----------
    function : Remembered
        A function of a module.
    arguments : tuple
        Its arguments, hashable.
    cost : float
        About how many seconds it takes at the default scale on one core.
    """

    function: Remembered
    arguments: tuple
    cost: float = 1.0

    def __str__(self):
        return f"{self.function.__name__}: {self.arguments[0]}"

    def compute(self):
        """Return the value."""
        return self.function(*self.arguments)

    def remember(self, value):
        """Keep a value that another process has computed."""
        self.function.values[self.arguments] = value
