"""The curvature group of the verification holds at quick scale, and its planted error is found."""

from aniso.propositions import network_claims
from aniso.propositions.check import Settings, Verdict


def test_every_check_holds_at_quick_scale():
    tasks = network_claims.tasks(Settings(scale="quick"))
    found = [check for task in tasks for check in task.run()]
    assert [check.name for check in found if check.verdict is not Verdict.HOLDS] == []
    names = {check.name for check in found}
    assert {"Hessian", "Tr(HΣ)", "two routes to H V", "Proposition 1 on the network"} <= names
