"""Description of a figure: its parameters, its computation, its claims and its drawing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

SCALES = ("small", "medium", "study_n300", "study", "paper")
"""Names of the scales, in the order of their worth."""


def seeds_of(parameters):
    """Return the seeds of a figure, a range.

    Examples
    --------
    >>> seeds_of({"num_seeds": 2}), seeds_of({"num_seeds": 2, "first_seed": 100})
    (range(0, 2), range(100, 102))
    """
    first = parameters.get("first_seed", 0)
    return range(first, first + parameters["num_seeds"])


@dataclass(frozen=True)
class Foundation:
    """Work that comes before the units of a seed; figures with equal foundations share it.

    Attributes
    ----------
    make_unit : callable
        ``(parameters, seed) -> dict``, plain data.
    compute : callable
        ``(unit, folder) -> dict of str to ndarray``, a function of a module. The folder is the
        run directory of the foundation, not made yet.
    revision : int
        Raised whenever `compute` gives other numbers for the same unit.
    """

    make_unit: Callable
    compute: Callable
    revision: int


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes
    ----------
    name : str
        Module in this package, and stem of the files.
    title, claim : str
        Its subject and the claim of its caption, in a line each.
    revision : int
        Raised whenever the computation gives other numbers for the same parameters. Stored data
        and run directories belong to one revision.
    scales : mapping of str to dict
        Parameters of each scale, plain data; "num_seeds" among them where seeds are repeated. A
        scale with "first_seed" and "margins" belongs to a study, see :mod:`analysis.decisions`.
    costs : mapping of str to str
        Time and size of each scale, for the list of figures and before the work starts.
    make_units : callable
        ``(parameters) -> list of dict``, one for each unit of work, with its "seed".
    compute_unit : callable
        ``(unit, folder, foundation) -> dict of str to ndarray``, a function of a module. The
        folder is the run directory of the unit, not made yet; `foundation` is the value of the
        foundation of its seed, or None.
    collect : callable
        ``(parameters, units, values) -> dict of str to ndarray``.
    judge : callable
        ``(parameters, arrays) -> list of claims.Claim``.
    draw : callable
        ``(parameters, arrays) -> matplotlib.figure.Figure``.
    table : callable, optional
        ``(parameters, arrays) -> str``, Markdown that is written beside the drawing.
    foundation : Foundation, optional
        Work that comes before the units of a seed.
    prepare : callable, optional
        ``(parameters) -> dict``, before any work: digests and sources of the data, with which
        stored runs must agree. InputError where data are missing.
    steps_of : callable, optional
        ``unit -> int``, steps of a unit or of a foundation, for the progress bar.
    takes_device, takes_preset : bool
        Whether its networks can run on another device, with ``--device``. Whether it can use the
        dynamics of the published scripts, with ``--as-published``.
    runs : str
        Name of the runs that it draws, "" for its own. Figures of the same runs compute them once.
    bands : str
        Meaning of the lines and bands over seeds; "" where there are none.
    """

    name: str
    title: str
    claim: str
    revision: int
    scales: Mapping
    costs: Mapping
    make_units: Callable
    compute_unit: Callable
    collect: Callable
    judge: Callable
    draw: Callable
    table: Callable | None = None
    foundation: Foundation | None = None
    prepare: Callable | None = None
    steps_of: Callable | None = None
    takes_device: bool = False
    takes_preset: bool = False
    runs: str = ""
    bands: str = ""

    @property
    def prepared(self):
        """Return `prepare`, or a function that returns {} in its place."""
        return self.prepare or (lambda _: {})
