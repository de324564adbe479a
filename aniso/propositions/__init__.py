"""Definition 1, Propositions 1 to 3 and the dynamics as checks: one module each, with `tasks`.

`GROUPS` names the groups of the verification command in their order; a module joins by one line.
"""

import importlib

from aniso import checks

GROUPS = {
    "definition1": "aniso.propositions.definition1",
    "proposition1": "aniso.propositions.proposition1",
    "proposition2": "aniso.propositions.proposition2",
    "proposition3": "aniso.propositions.proposition3",
    "dynamics": "aniso.propositions.dynamics",
    "curvature": "aniso.propositions.network_claims",
}


def tasks(group, settings):
    """Tasks of one group, in the order in which they run.

    Parameters
    ----------
    group : str
        A key of `GROUPS`.
    settings : aniso.propositions.check.Settings
        Scale and seed.

    Returns
    -------
    list of aniso.propositions.check.Task
    """
    return _module(group).tasks(settings)


def title(group):
    """Return what the group is about, the ``TITLE`` of its module.

    Examples
    --------
    >>> title("proposition1")
    'Proposition 1, the benefit of anisotropic noise, with its finite-D constant'
    """
    return _module(group).TITLE


def _module(group):
    return importlib.import_module(GROUPS[checks.one_of("group", group, tuple(GROUPS))])
