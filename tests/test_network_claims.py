"""The claims about networks hold at quick scale, and name their sources."""

from check_cases import unexplained, unknown_sources

from aniso.propositions import network_claims
from aniso.propositions.check import Verdict
from aniso.propositions.settings import Settings


def test_every_check_holds_at_quick_scale():
    tasks = network_claims.tasks(Settings(scale="quick"))
    found = [check for task in tasks for check in task.run()]
    assert [check.statement.name for check in found if check.verdict is not Verdict.HOLDS] == []
    names = {check.statement.name for check in found}
    assert {"Hessian", "Tr(HΣ)", "H V by two algorithms", "Proposition 1 on the network"} <= names
    assert unexplained("curvature", found) == []
    assert unknown_sources(found) == []
