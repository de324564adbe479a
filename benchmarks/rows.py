"""Rows of the report: ours beside the best peer."""

import statistics
from dataclasses import dataclass, replace

OURS = "aniso"
DEVIATIONS = {"float32": 2e-3, None: 1e-6, "float64": 1e-6}
"""Largest deviation of a peer's result from ours, by precision, up to which both are the same."""


@dataclass(frozen=True)
class Row:
    """One quantity of one case.

    Attributes
    ----------
    case, quantity : str
    dtype : str or None
    ours : float
        Seconds.
    peer : str or None
        The fastest; None where there is none.
    theirs : float or None
        Its seconds.
    ratio : float or None
        Theirs over ours, the median over the rounds.
    span : tuple of float or None
        Smallest and largest ratio of a round; None where both were not measured together.
    others : tuple of (str, float)
        All peers and their seconds, the fastest first.
    in_headline : bool
        Whether the case is one of the tables'.
    """

    case: str
    quantity: str
    dtype: str | None
    ours: float
    peer: str | None = None
    theirs: float | None = None
    ratio: float | None = None
    span: tuple | None = None
    others: tuple = ()
    in_headline: bool = True


def rows_of(records, instead=None):
    """Return the rows of records, in their order.

    Parameters
    ----------
    records : list of dict
        As :func:`benchmarks.race.measure` returns them.
    instead : dict, optional
        Quantity to others, one of which stands where a peer lacks it.

    Returns
    -------
    list of Row
        Results that deviate from ours are no competition and are left out.

    Examples
    --------
    >>> fast = {"case": "toy", "dtype": None, "quantity": "trace", "deviation": None}
    >>> slow = fast | {"implementation": "loop", "seconds": 6.0, "runs": [5.0, 6.0, 9.0]}
    >>> fast |= {"implementation": "aniso", "seconds": 2.0, "runs": [2.0, 2.0, 2.5]}
    >>> row, = rows_of([fast, slow])
    >>> row.peer, row.ratio, row.span
    ('loop', 3.0, (2.5, 3.6))
    """
    rows = []
    for record in records:
        if record["implementation"] == OURS:
            peers = _peers_of(record, records, (instead or {}).get(record["quantity"], ()))
            rows.append(_row(record, sorted(peers, key=lambda peer: peer["seconds"])))
    return rows


def deviating(records):
    """Return the records of peers whose results are not ours."""
    return [
        record
        for record in records
        if (record["deviation"] or 0.0) > DEVIATIONS.get(record["dtype"], 1e-6)
    ]


def _peers_of(ours, records, instead):
    wrong = deviating(records)
    same = [
        record
        for record in records
        if (record["case"], record["dtype"]) == (ours["case"], ours["dtype"])
        and record["implementation"] != OURS
        and record not in wrong
    ]
    found = {r["implementation"]: r for r in same if r["quantity"] == ours["quantity"]}
    for record in sorted(same, key=lambda record: record["seconds"]):
        if record["quantity"] in instead:
            found.setdefault(record["implementation"], record)
    return list(found.values())


def _row(ours, peers):
    row = Row(
        ours["case"],
        ours["quantity"],
        ours["dtype"],
        ours["seconds"],
        in_headline=ours.get("in_headline", True),
    )
    if not peers:
        return row
    best, ratio, span = peers[0], peers[0]["seconds"] / ours["seconds"], None
    if best["quantity"] == ours["quantity"]:
        ratios = [b / a for a, b in zip(ours["runs"], best["runs"], strict=False)]
        ratio, span = statistics.median(ratios), (min(ratios), max(ratios))
    others = tuple((peer["implementation"], peer["seconds"]) for peer in peers)
    peer, theirs = others[0]
    return replace(row, peer=peer, theirs=theirs, ratio=ratio, span=span, others=others)


def headline_rows(group, records):
    """Return the rows of the tables by (case, quantity), each a dict from precision to a row."""
    found = {}
    for row in rows_of(records, group.instead):
        if row.quantity in group.headline and row.in_headline:
            found.setdefault((row.case, row.quantity), {})[row.dtype] = row
    return found


def span_of_time(seconds):
    """Return seconds with a unit and two or three digits.

    Examples
    --------
    >>> [span_of_time(s) for s in (2.66e-8, 0.0000321, 0.0042, 0.0671, 1.304, 75.2)]
    ['27 ns', '32 µs', '4.2 ms', '67 ms', '1.3 s', '75 s']
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= 0.9995 * size or unit == "ns":
            return f"{_two_digits(seconds / size)} {unit}"
    return None


def times(ratio):
    """Return a ratio of times as text.

    Examples
    --------
    >>> [times(r) for r in (0.0213, 0.4, 1.049, 2.31, 21.6, 135.2)]
    ['0.021', '0.40', '1.0', '2.3', '22', '135']
    """
    return _two_digits(ratio)


def _two_digits(number):
    if number >= 9.95:
        return f"{number:,.0f}"
    if number >= 0.995:
        return f"{number:.1f}"
    return f"{number:.2f}" if number >= 0.0995 else f"{number:.2g}"
