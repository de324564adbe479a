"""Checks of the theory: Definition 1, Propositions 1 to 3, the dynamics and the networks.

`GROUPS` names the groups of the verification command in their order. The module of a group has
``TITLE``, ``LEGEND`` and ``tasks(settings)``; one line in `GROUPS` adds it. A group in `ON_REQUEST`
runs where ``--only`` names it.

For a network of your own, of any depth: `order_constants`, `fisher_gauss_newton_order` and
`deep_alignment_bound` compare its Fisher matrix, Gauss-Newton matrix and noise.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import lazy_loader

from aniso import checks

if TYPE_CHECKING:
    from aniso.propositions.settings import Settings, Task


__getattr__, _, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "deep_alignment": ["AlignmentBound", "deep_alignment_bound"],
        "fisher_order": [
            "FisherOrder",
            "OrderConstants",
            "fisher_gauss_newton_order",
            "order_constants",
        ],
    },
)
__all__ += ["GROUPS", "ON_REQUEST", "legend", "tasks", "title"]

GROUPS = {
    "definition1": "aniso.propositions.definition1",
    "proposition1": "aniso.propositions.proposition1",
    "proposition2": "aniso.propositions.proposition2",
    "proposition3": "aniso.propositions.proposition3",
    "dynamics": "aniso.propositions.dynamics",
    "curvature": "aniso.propositions.network_claims",
    "deep": "aniso.propositions.deep",
    "stability": "aniso.propositions.stability",
}
ON_REQUEST = ("deep", "stability")
"""Groups that are not part of a run of all groups."""


def __dir__():
    return sorted(__all__)


def tasks(group: str, settings: Settings) -> list[Task]:
    """Return the tasks of one group, in the order in which they run.

    Parameters
    ----------
    group : str
        A key of `GROUPS`.
    settings : aniso.propositions.settings.Settings
        Scale and seed.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    return _module(group).tasks(settings)


def title(group: str) -> str:
    """Return the title of a group's table.

    Examples
    --------
    >>> title("proposition1")
    'Proposition 1, the benefit of anisotropic noise, with its finite-D constant'
    """
    return _module(group).TITLE


def legend(group: str) -> dict[str, str]:
    """Return the meaning of the symbols in a group's table, a dict from symbol to words.

    Examples
    --------
    >>> legend("proposition1")["ratio"]
    'Tr(HΣ)/Tr(HΣ_iso)'
    """
    return _module(group).LEGEND


def _module(group):
    return importlib.import_module(GROUPS[checks.one_of("group", group, tuple(GROUPS))])
