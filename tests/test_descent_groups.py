"""Records of groups of examples: their names, and what is refused."""

import numpy as np
import pytest
from descent_cases import network

from aniso import checks, descent


def test_groups_are_recorded_by_their_names(rng):
    own, held_out = network(rng), network(rng)
    theta = rng.standard_normal(own.num_parameters)
    plan = descent.Measurements((0,), ("test", "groups"), held_out, groups={"clean": own})
    found = plan.at(own, theta, rng)
    assert found["clean_loss"] == own.loss(theta)
    assert found["test_loss"] == held_out.loss(theta) != own.loss(theta)
    alone = descent.Measurements((0,), ("groups",), groups={"test": own})
    assert alone.at(own, theta, rng)["test_loss"] == own.loss(theta)


def test_a_group_never_replaces_the_records_of_the_test_problem(rng):
    own = network(rng)
    with pytest.raises(checks.InputError, match="groups has the name 'test'; expected another one"):
        descent.Measurements((0,), ("test", "groups"), own, groups={"test": own})


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (lambda own: {1: own, "a": own}, "groups has the name 1; expected text, for instance '1'"),
        (lambda own: [own], "groups has type list; expected a dictionary of problems by name"),
        (lambda _: None, "groups has type NoneType; expected a dictionary"),
        (lambda _: {"a": np.ones(2)}, r"groups\['a'\]"),
        (lambda _: {}, r"groups=\{\}; 'groups' needs a problem for each group"),
    ],
)
def test_groups_that_are_no_problems_by_name_are_refused(rng, groups, message):
    with pytest.raises(checks.InputError, match=message):
        descent.Measurements((0,), ("groups",), groups=groups(network(rng)))
