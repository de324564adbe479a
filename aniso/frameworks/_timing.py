"""Short timings by which the way and the chunk of a pass over the examples are chosen."""

import math
import time

SIZES = (128, 32, 512, 2048)
"""Numbers of examples that are tried as the size of a chunk; the first is kept unless slow."""

_MARGIN = 0.95  # of a timing: what is not faster by this factor may be noise
_NEAR = 1.5  # ways that are slower by more at the first size are not tried at others
_CALLS, _ENOUGH, _LONG = 4, 0.05, 0.5  # calls of one candidate, and seconds that end them
_SECONDS, _SHARE = 0.5, 0.25  # limit of all candidates: seconds, or a share of the whole pass
_HAS_THREAD_TIME = (
    hasattr(time, "thread_time") and time.get_clock_info("thread_time").resolution <= 1e-6
)


class Choices:
    """The fastest way and chunk of each kind of pass, found once and kept.

    A problem shares them with its subsets.
    """

    def __init__(self):
        self._kept = {}

    def fastest(self, kind, ways, sizes, count, call, clock=time.perf_counter, prepare=None):
        """Return the way and the size of a chunk with which a pass is fastest.

        Parameters
        ----------
        kind : str
            What is computed.
        ways : sequence of str
            The usually fastest first.
        sizes : tuple of int
            Numbers of examples of a chunk, the one to keep unless it is slow first.
        count : int
            Examples of the pass, which is cut into equal parts.
        call : callable
            ``(way, chunk) -> None``: one chunk, a slice, in one way, to its end.
        clock : callable
            () -> seconds.
        prepare : callable, optional
            The same arguments as `call`: what is not timed, as a compilation.

        Returns
        -------
        way : str
        size : int
            Largest number of examples of a chunk; :func:`equal_parts` gives their number.
        """
        key = kind, tuple(ways), sizes
        if key not in self._kept:
            self._kept[key] = _fastest(ways, sizes, count, call, clock, prepare)
        return self._kept[key]


def sizes_for(count, sizes=SIZES, largest=None):
    """Return the sizes of chunks to try for a number of examples, the usual one first.

    Examples
    --------
    >>> sizes_for(100), sizes_for(1200), sizes_for(1200, largest=200), sizes_for(9, largest=4)
    ((128,), (128, 32, 512, 2048), (128, 32), (4,))
    """
    largest = max(sizes) if largest is None else largest
    if count <= sizes[0] <= largest:
        return sizes[:1]
    enough = min((size for size in sizes if size >= count), default=max(sizes))
    return tuple(size for size in sizes if size <= min(largest, enough)) or (largest,)


def equal_parts(count, size):
    """Return the size of the fewest equal chunks of at most `size` examples.

    Examples
    --------
    >>> equal_parts(1200, 1024), equal_parts(5, 8)
    (600, 5)
    """
    return math.ceil(count / math.ceil(count / size))


def clock_of_thread():
    """Seconds in which this thread computed, whatever else the processor did meanwhile."""
    return time.thread_time() if _HAS_THREAD_TIME else time.perf_counter()


def _fastest(ways, sizes, count, call, clock, prepare):
    first = ways[0], sizes[0]
    if len(ways) == len(sizes) == 1:
        return first
    rates, begin = {}, clock()

    def timed(way, size):
        chunk = slice(0, equal_parts(count, size))
        best = min(rates.values(), default=float("inf"))
        spent = clock() - begin
        if rates and spent > max(_SECONDS, _SHARE * best * count):
            return
        if prepare is not None:
            prepare(way, chunk)
        limit = 2 * best * chunk.stop
        rates[way, size] = _seconds(lambda: call(way, chunk), limit, clock) / chunk.stop

    for way in ways:
        timed(way, sizes[0])
    best = min(rates.values())
    for way in [way for way, _ in list(rates) if rates[way, sizes[0]] <= _NEAR * best]:
        for size in sizes[1:]:
            timed(way, size)
    found = min(rates, key=rates.get)
    return found if rates[found] < _MARGIN * rates[first] else first


def _seconds(call, limit, clock):
    """Least seconds of a few calls, of which the first warms up; two where the limit is passed."""
    best, spent = float("inf"), 0.0
    for number in range(_CALLS):
        begin = clock()
        call()
        last = clock() - begin
        best, spent = min(best, last), spent + last
        if last > _LONG or (number and (spent > _ENOUGH or best > limit)):
            break
    return best
