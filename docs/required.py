"""Packages that the site needs, asked for before anything is built."""

import importlib.util


def sentence(packages):
    """Return what to do about packages that can't be imported; "" where all of them can.

    Parameters
    ----------
    packages : dict of str to str
        Extra of ``pip install -e '.[extra]'`` by the name of a module.
    """
    lost = {name: extra for name, extra in packages.items() if not importlib.util.find_spec(name)}
    if not lost:
        return ""
    extras = ",".join(dict.fromkeys(lost.values()))
    return f"{', '.join(lost)} can't be imported; expected pip install -e '.[{extras}]'"
