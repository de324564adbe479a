"""Dynamics: moments, orders and exit times of the motion, against their closed forms."""

from aniso.propositions import equations_of_motion, exit_times

TITLE = "Dynamics: moments, orders and exit times of the motion, against their closed forms"


def tasks(settings):
    """Tasks of the group.

    Parameters
    ----------
    settings : aniso.propositions.check.Settings

    Returns
    -------
    list of aniso.propositions.check.Task
    """
    return [*equations_of_motion.tasks(settings), *exit_times.tasks(settings)]
