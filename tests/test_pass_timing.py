"""Choice of the way and the chunk of a pass by timing, with a clock that the test moves."""

import pytest

from aniso.frameworks import _timing


class Clock:
    """Seconds that passes of known speed take: `rates` by (way, chunk), seconds an example."""

    def __init__(self, rates, overhead=0.0):
        self.rates, self.overhead, self.now, self.calls = rates, overhead, 0.0, []

    def __call__(self):
        return self.now

    def run(self, way, chunk):
        self.calls.append((way, chunk.stop))
        self.now += self.overhead + self.rates(way, chunk.stop) * chunk.stop


def chosen(rates, ways=("a", "b"), count=5000, sizes=None):
    clock, choices = Clock(rates), _timing.Choices()
    sizes = _timing.sizes_for(count) if sizes is None else sizes
    found = choices.fastest("pass", ways, sizes, count, clock.run, clock)
    number = len(clock.calls)
    assert choices.fastest("pass", ways, sizes, count, clock.run, clock) == found
    assert len(clock.calls) == number  # kept
    return found, clock


def test_the_fastest_way_and_chunk_are_found():
    speeds = {("b", 500): 1.0}
    found, _ = chosen(lambda way, size: 1e-7 * speeds.get((way, size), 1.4))
    assert found == ("b", 512)


def test_the_usual_one_is_kept_unless_another_is_clearly_faster():
    found, _ = chosen(lambda way, size: 1e-7 if (way, size) == ("a", 125) else 0.97e-7)
    assert found == ("a", 128)


def test_a_slow_way_is_tried_at_one_size_only():
    _, clock = chosen(lambda way, size: 1e-7 if way == "a" else 3e-7)  # noqa: ARG005
    assert {size for way, size in clock.calls if way == "b"} == {125}
    assert {size for way, size in clock.calls if way == "a"} == {32, 125, 500, 1667}


@pytest.mark.parametrize("seconds", [1e-6, 1e-4, 1e-2])
def test_timing_takes_half_a_second_or_a_share_of_the_pass(seconds):
    """Here the whole pass takes 5000 times as many seconds; the last candidate may run over."""
    _, clock = chosen(lambda way, size: seconds)  # noqa: ARG005
    last = 2 * 2048 * seconds
    assert clock.now <= max(0.5, 0.25 * 5000 * seconds) + last


def test_one_candidate_is_not_timed():
    found, clock = chosen(lambda way, size: 1.0, ways=("a",), count=100)  # noqa: ARG005
    assert found == ("a", 128)
    assert not clock.calls


def test_chunks_are_equal_parts_of_the_examples():
    _, clock = chosen(lambda way, size: 1e-7, count=300)  # noqa: ARG005
    assert {size for _, size in clock.calls} == {30, 100, 300}
