"""Figures of the evidence: drawn from what the checks carry, whole or absent."""

import pytest

from aniso import evidence_plots, propositions, report
from aniso.propositions.check import Settings


@pytest.fixture(scope="module")
def results():
    settings = Settings("quick", 0)
    found = []
    for group in propositions.GROUPS:
        for task in propositions.tasks(group, settings):
            if task.name in ("short and long times", "simulation", "rate in D") or (
                "relu, h = 32" in task.name
            ):
                found.append(report.TaskResult(group, task.name, tuple(task.run()), 0.0))
    return found


@pytest.mark.needs_jit
def test_every_group_with_evidence_gets_its_figure(results, tmp_path):
    written = evidence_plots.draw(results, tmp_path)
    assert [path.name for path in written] == [f"{group}.png" for group in GROUPS_WITH_FIGURES]
    for path in written:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 20_000


GROUPS_WITH_FIGURES = ("definition1", "proposition1", "proposition2", "proposition3")


def test_groups_without_evidence_are_left_out(tmp_path):
    empty = [report.TaskResult("proposition1", "a task", (), 0.0)]
    assert evidence_plots.draw(empty, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
