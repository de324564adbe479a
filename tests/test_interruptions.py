"""Requests to stop: a caught one stops no later run, and threads still see it."""

import signal
import threading

import numpy as np
import pytest
import seeds
from descent_cases import bowl, chosen

from aniso import descent
from aniso.runs import interruptions, run_directory


@pytest.fixture(autouse=True)
def plain_handlers():
    """The handlers of Python: a shell may have started the tests with SIGINT ignored."""
    kept = {number: signal.getsignal(number) for number in interruptions.SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def descend(folder, objective, signal_at=None):
    def progress(step, _):
        if step == signal_at:
            signal.raise_signal(signal.SIGINT)

    with run_directory.RunDirectory(folder, {}, seed=8) as run:
        return descent.simulate_descent(
            objective,
            np.ones(4),
            chosen("gd", num_steps=9),
            seeds.generator(8),
            run=run,
            progress=progress,
        )


@pytest.mark.parametrize("around", [interruptions.handled, interruptions.deferred])
def test_a_caught_request_stops_no_later_run(around, rng, tmp_path):
    objective = bowl(rng)
    with around():
        for folder in ("first", "second"):  # the request of the second waits for its step too
            with pytest.raises(KeyboardInterrupt):
                descend(tmp_path / folder, objective, signal_at=4)
            with run_directory.RunDirectory(tmp_path / folder, {}, seed=8) as run:
                assert run.latest_checkpoint().step == 4
        assert descend(tmp_path / "first", objective).step == 9


def test_a_request_that_raised_at_once_stops_no_later_run(rng, tmp_path):
    with interruptions.handled():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert descend(tmp_path, bowl(rng)).step == 9


def test_a_request_that_nobody_answered_stops_the_next_run(rng, tmp_path):
    with interruptions.handled():
        with interruptions.deferred():
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            descend(tmp_path, bowl(rng))


def test_runs_in_threads_still_see_a_request_that_the_main_thread_answered(rng, tmp_path):
    objective, ended = bowl(rng), []

    def begin():
        try:
            descend(tmp_path, objective)
        except KeyboardInterrupt:
            ended.append("stopped")

    with interruptions.handled():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        for _ in range(2):
            thread = threading.Thread(target=begin)
            thread.start()
            thread.join()
    assert ended == ["stopped", "stopped"]


def test_a_second_signal_of_the_same_kind_never_waits():
    with interruptions.deferred():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
