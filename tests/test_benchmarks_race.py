"""Rounds of a toy benchmark: turns, times, absent, dying and false peers, and the command."""

import json

import pytest

from benchmarks import command, race
from benchmarks.groups import growth
from benchmarks.processes import Implementation
from benchmarks.race import Case, Effort, Group

BRIEF = Effort(quick=True, seconds=0.0, least=2, most=2, few=1, brief=0.5)


def toy(*names, **more):
    """A group of the named implementations, "aniso" for `ours`."""
    return Group(
        **{
            "name": "toy",
            "title": "Toy <group>",
            "about": "Sums & cubes.",
            "implementations": {
                "aniso" if name == "ours" else name: Implementation(
                    "tests.benchmark_workers", name, is_peer=False
                )
                for name in names
            },
            "cases": lambda quick: [Case("ten numbers", {"size": 10 if quick else 20})],
            "heavy": ("too_slow", "heavy", "zeros@1000", "zeros@2000", "zeros@4000"),
            "headline": ("cubes",),
            "labels": {"cubes": "sum of cubes"},
        }
        | more
    )


@pytest.fixture(scope="module")
def measured():
    """Records and lines of progress of all implementations."""
    said = []
    group = toy("ours", "slow", "wrong", "noisy", "raising", "absent", "dying", "empty", "too_slow")
    return race.measure(group, BRIEF, say=said.append), said


def of(records, implementation, quantity="cubes"):
    return [
        r for r in records if (r["implementation"], r["quantity"]) == (implementation, quantity)
    ]


def test_every_round_counts_and_the_median_is_reported(measured):
    (record,) = of(measured[0], "slow")
    assert len(record["runs"]) == 2
    assert record["seconds"] == pytest.approx(sum(record["runs"]) / 2, rel=1e-3)
    assert 0.01 <= record["seconds"] < 1
    assert record["seconds"] > of(measured[0], "aniso")[0]["seconds"]


def test_page_faults_and_memory_are_recorded(measured):
    pytest.importorskip("resource")
    (record,) = of(measured[0], "aniso")
    assert record["page_faults"] >= 0
    assert record["peak_bytes"] > 10_000_000


def test_a_stated_time_is_divided_into_its_parts(measured):
    assert [r["seconds"] for r in of(measured[0], "aniso", "stated")] == [2.0]
    assert [r["seconds"] for r in of(measured[0], "slow", "stated")] == [6.0]
    assert of(measured[0], "aniso", "stated")[0]["more"] == {"products": 7}


def test_results_are_compared(measured):
    assert of(measured[0], "aniso")[0]["deviation"] is None
    assert of(measured[0], "slow")[0]["deviation"] < 1e-14
    assert of(measured[0], "wrong")[0]["deviation"] == pytest.approx(1e-4, rel=0.2)


def test_what_is_no_number_is_no_result(measured):
    assert of(measured[0], "empty")[0]["deviation"] == 1e99


def test_repetitions_follow_the_time_of_a_call_not_of_its_parts():
    class Fixed:
        def run(self, quantity, repeat=1, checksum=False):  # noqa: ARG002
            return {"seconds": 1e-9, "elapsed": 0.5, "more": {}, "checksum": None}

    contestant = race._Contestant(Fixed(), "paths", 1)
    assert contestant.warm_up(0.0) == 0.5
    assert contestant.repeat == 1


def test_what_a_library_prints_does_not_disturb_the_answers(measured):
    assert len(of(measured[0], "noisy")) == 1


def test_peers_that_are_absent_or_die_are_left_out_with_the_reason(measured):
    assert of(measured[0], "absent") == of(measured[0], "dying") == []
    text = "\n".join(measured[1])
    assert "left out: absent (no library for 10 numbers)" in text
    assert "left out: dying (the process ended" in text


def test_a_quantity_that_raises_is_left_out_and_the_others_go_on(measured):
    assert of(measured[0], "raising", "stated") == []
    assert len(of(measured[0], "raising")) == 1
    expected = "  failed: stated of raising (ArithmeticError: 10 is too much)"
    assert expected in measured[1]


def test_a_quick_run_leaves_out_heavy_quantities_and_peers(measured):
    assert of(measured[0], "aniso", "heavy") == []
    assert of(measured[0], "too_slow") == []
    full = race.measure(toy("ours"), Effort(seconds=0.0, least=1, most=1), say=lambda _: None)
    assert len(of(full, "aniso", "heavy")) == 1


def test_rounds_are_interleaved():
    order = []

    class Recorded:
        missing = None

        def __init__(self, name):
            self.name, self.failures = name, {}

        def run(self, quantity, repeat=1, checksum=False):  # noqa: ARG002
            order.append(self.name)
            return {"seconds": 1.0, "elapsed": 1.0, "more": {}, "checksum": None}

    contestants = [race._Contestant(Recorded(name), "cubes", 1) for name in "abc"]
    race._run_rounds(contestants, toy("ours"), BRIEF)
    assert "".join(order) == "abc" * 3


def test_growth_has_sizes_and_memory():
    group = toy("ours", is_growth=True, heavy=(), warm_up=False)
    records = race.measure(group, BRIEF, say=lambda _: None)
    zeros = [r for r in records if r["quantity"] == "zeros"]
    assert [r["size"] for r in zeros] == [1000, 2000, 4000]
    for record in zeros:
        assert 8 * record["size"] <= record["traced_bytes"] < 8 * record["size"] + 2000


@pytest.mark.parametrize("longest", [0.0, 1e9])
def test_the_lock_is_held_and_given_away_after_its_time(tmp_path, monkeypatch, longest):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(race, "LONGEST_TURN", longest)
    turns = race.Turns(tmp_path / "lock")

    def is_free():
        with open(tmp_path / "lock", "a", encoding="utf-8") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    for _ in range(2):
        with turns:
            assert not is_free()
        assert is_free() == (longest == 0)
    turns.close()
    assert is_free()


@pytest.fixture
def _toys(monkeypatch):
    """The command with the toy as its only group."""
    groups = {"toy": toy("ours", "slow")}
    for module in (command, command.pictures, command.tables):
        monkeypatch.setattr(module, "GROUPS", groups)
    monkeypatch.setattr(race, "QUICK", BRIEF)


@pytest.mark.usefixtures("_toys")
def test_the_command_writes_data_pictures_and_tables(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{command.tables.BEGIN}\nold\n{command.tables.END}\nafter\n")
    assert command.main(["--quick", "--results", str(tmp_path), "--tables", str(page)]) == 0
    stored = json.loads((tmp_path / "toy.json").read_text())
    assert stored["quick"]
    assert stored["environment"]["cores"] >= 1
    assert {r["implementation"] for r in stored["records"]} == {"aniso", "slow"}
    assert (tmp_path / "overview.png").stat().st_size > 1000
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "**Toy <group>** (ten numbers). Sums & cubes." in text
    assert "| sum of cubes |" in text
    assert "measured in" in capsys.readouterr().out


@pytest.mark.usefixtures("_toys")
def test_a_report_needs_results(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["--report", "--results", str(tmp_path)])
    assert "no results in" in capsys.readouterr().err


def test_laws_name_quantities_that_have_labels():
    for law in growth.LAWS:
        assert law.quantity in growth.GROWTH.labels
        assert law.documented
