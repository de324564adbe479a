"""The queue of a verification run: order, needs, other processes, and what goes wrong in them."""

import threading
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from aniso import propositions
from aniso.propositions import running
from aniso.propositions.agenda import Agenda, units_of
from aniso.propositions.check import Statement, compare
from aniso.propositions.needs import Need, Remembered
from aniso.propositions.settings import Settings, Task


def one_check(measured):
    return compare(Statement("planted", "c", "r", "o", "s"), measured, ">=", 1.0)


def task(name, cost=1.0, kernels="", needs=(), run=lambda: [one_check(2.0)]):
    return Task(name, run, cost, kernels, needs)


def taken(agenda, process=0, outcome=None):
    """Names of the units that one process takes until none is left."""
    names = []
    while (unit := agenda.take(process)) is not None:
        names.append(unit.name)
        agenda.end(unit, outcome)
    return names


@Remembered
def doubled(x):
    calls.append(x)
    return 2 * x


calls = []


@pytest.fixture(autouse=True)
def forgotten():
    calls.clear()
    doubled.values.clear()


def test_long_units_come_first_and_those_of_other_processes_last():
    tasks = [task("short", 0.5), task("long", 3.0), task("compiled", 2.0, "motion")]
    agenda = Agenda(units_of({"g": [*tasks, task("compiled too", 2.5, "motion")]}))
    assert agenda.take(0).name == "long"
    assert agenda.take(1).name == "compiled too"
    # process 1 has the functions of "motion" now
    assert agenda.take(0).name == "short"
    assert taken(agenda, 0) == ["compiled"]


def test_a_unit_waits_for_what_it_needs():
    need = Need(doubled, (3,), cost=0.1)
    agenda = Agenda(units_of({"g": [task("needy", 9.0, needs=(need,)), task("free", 1.0)]}))
    free, shared = agenda.take(0), agenda.take(0)
    assert (free.name, shared.shared) == ("free", need)
    found = []
    waiting = threading.Thread(target=lambda: found.append(agenda.take(1)))
    waiting.start()
    agenda.end(shared, "value")
    waiting.join()
    assert found[0].name == "needy"
    assert agenda.known(found[0]) == {need: "value"}


def test_a_closed_agenda_gives_nothing_to_those_who_wait():
    need = Need(doubled, (3,))
    agenda = Agenda(units_of({"g": [task("needy", needs=(need,))]}))
    agenda.take(0)
    found = []
    waiting = threading.Thread(target=lambda: found.append(agenda.take(1)))
    waiting.start()
    agenda.interrupt()
    waiting.join()
    assert found == [None]
    assert agenda.interrupted


@pytest.fixture
def planned(monkeypatch):
    def plan(*tasks):
        monkeypatch.setattr(propositions, "tasks", lambda *_: list(tasks))

    return plan


class Elsewhere:
    """In place of other processes: a pool that answers as `submit` is told to."""

    def __init__(self, answer):
        self.answer = answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, unit, *arguments):
        future = Future()
        try:
            future.set_result(self.answer(function, unit, *arguments))
        except BaseException as error:
            future.set_exception(error)
        return future


def run_with(monkeypatch, answer, num_processes=2):
    """Results of a run with other processes, the first unit of which is taken elsewhere."""
    begun = threading.Event()

    def first_elsewhere(function, unit, *arguments):
        begun.set()
        return answer(function, unit, *arguments)

    original = running._run_unit

    def here(*arguments):
        begun.wait(5)
        return original(*arguments)

    monkeypatch.setattr(running.processes, "Processes", lambda _: Elsewhere(first_elsewhere))
    monkeypatch.setattr(running, "_run_unit", here)
    settings = Settings("quick")
    return running.run_tasks(["proposition1"], settings, num_processes=num_processes)


def test_what_tasks_share_runs_once_and_its_time_is_counted_once(planned):
    need = Need(doubled, (3,))
    uses = [task(str(i), needs=(need,), run=lambda: [one_check(doubled(3))]) for i in range(2)]
    planned(*uses)
    results = running.run_tasks(["proposition1"], Settings("quick"))
    assert calls == [3]
    assert [result.checks[0].measured for result in results] == [6.0, 6.0]
    assert sum(result.seconds for result in results) < 5


def test_a_shared_computation_that_fails_ends_every_task_that_needs_it(planned):
    broken = Remembered(lambda x: 1 / x)
    need = Need(broken, (0,))
    planned(task("a", needs=(need,)), task("free"), task("b", needs=(need,)))
    results = running.run_tasks(["proposition1"], Settings("quick"))
    expected = "ZeroDivisionError: division by zero"
    assert [result.error for result in results] == [expected, "", expected]


def test_values_of_other_processes_are_taken(planned, monkeypatch):
    need = Need(doubled, (3,))
    planned(task("needy", needs=(need,), run=lambda: [one_check(doubled(3))]), task("free"))

    def answer(_, unit, settings, known):
        if unit.shared is not None:
            return running.SharedResult(16, 0.0)
        return running._run_elsewhere(unit, settings, known)

    monkeypatch.setattr(Need, "compute", lambda _: 16)  # in whatever process
    first, second = run_with(monkeypatch, answer)
    assert (first.checks[0].measured, second.checks[0].measured) == (16.0, 2.0)


def test_a_process_that_dies_ends_its_unit_alone(planned, monkeypatch):
    planned(*(task(str(i), cost=i) for i in range(5)))

    def die(*_):
        raise BrokenProcessPool("it was terminated")

    results = run_with(monkeypatch, die)
    errors = [result.error for result in results if result.error]
    assert errors == ["BrokenProcessPool: it was terminated"]
    assert len(results) == 5


def test_an_interruption_of_another_process_ends_the_run(planned, monkeypatch):
    planned(*(task(str(i)) for i in range(5)))

    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_with(monkeypatch, interrupted)
