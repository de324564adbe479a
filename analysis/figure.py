"""Description of a figure: its parameters, its computation, its claims and its drawing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SCALES = ("small", "medium", "study_n300", "study_n300_many", "study_n500", "study", "paper")
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
    rows : callable, optional
        ``(parameters, arrays) -> list of dict``, the numbers of the table, written as CSV.
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
    options : mapping of str to object
        Parameters that no scale names, with the values that hold unless another is given.
    limits : mapping of str to int
        Largest counts that the data and the memory allow, by parameter.
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
    rows: Callable | None = None
    foundation: Foundation | None = None
    prepare: Callable | None = None
    steps_of: Callable | None = None
    takes_device: bool = False
    takes_preset: bool = False
    options: Mapping = field(default_factory=dict)
    limits: Mapping = field(default_factory=dict)
    runs: str = ""
    bands: str = ""

    @property
    def prepared(self):
        """Return `prepare`, or a function that returns {} in its place."""
        return self.prepare or (lambda _: {})

    def run(
        self,
        scale="small",
        *,
        executor="serial",
        output=None,
        runs=None,
        fresh=False,
        **parameters,
    ):
        """Compute the figure, or load it where it is stored, and draw it.

        Parameters
        ----------
        scale : str
            Whose parameters hold where none are given.
        executor : str or concurrent.futures.Executor
            See :mod:`aniso.runs.executors`.
        output, runs : path-like, optional
            Folders of pictures and checkpoints; the command's if not given. Other parameters than
            the scale's own have pictures and data in the folder ``own`` of `output`.
        fresh : bool
            Whether to ignore stored data.
        **parameters
            Other values of the scale's parameters. ``python -m analysis.NAME --help`` lists them.

        Returns
        -------
        analysis.figure_run.FigureResult
            Arrays, claims with verdicts, and the paths of what was written.

        Raises
        ------
        InputError
            If an argument is impossible, or the scale has no parameter of a name.
        RuntimeError
            If a unit of work failed.
        OSError
            If a folder can't be written.

        Examples
        --------
        >>> from analysis.fig4_one_hidden_layer import FIGURE
        >>> FIGURE.run(widhts=[16])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        aniso.checks.InputError: widhts=[16]; fig4_one_hidden_layer has no such parameter ...
        """
        from analysis import figure_run  # which draws figures, and so imports this module

        return figure_run.run(self, scale, executor, output, runs, fresh, parameters)
