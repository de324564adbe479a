"""The file ``run.json``: parameters, seed, and the versions and machines that worked on a run."""

import json

from aniso import checks
from aniso.runs import files, provenance
from aniso.runs._identity import parameter_differences


def refuse_foreign(folder, identity):
    """Refuse a directory whose description holds another identity; one without it is accepted.

    Parameters
    ----------
    folder : Path
        Run directory.
    identity : dict
        Plain data: "parameters" and "seed".

    Raises
    ------
    InputError
        If they differ, or the description can't be read.
    """
    found = _stored(folder)
    if found is None:
        return
    lines = list(parameter_differences({key: found[key] for key in identity}, identity))
    if lines:
        shown = "\n".join(f"  {line}" for line in lines)
        raise checks.InputError(
            f"the run directory {str(folder)!r} belongs to other parameters:\n{shown}\n"
            "choose another directory, or remove this one"
        )


def note_environment(folder, identity):
    """Write the description of a run, or add the present versions and machine to it."""
    found = _stored(folder) or identity | {"environments": []}
    environment = provenance.environment()
    if environment not in found["environments"]:
        found["environments"].append(environment)
        write_json(folder / "run.json", found)


def write_json(path, content):
    """Write plain data to a file, which is whole or absent."""
    with files.atomic_writer(path) as stream:
        json.dump(content, stream, indent=1)


def _stored(folder):
    """Return the content of the description; None without one."""
    path = folder / "run.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise checks.InputError(
            f"{str(path)!r} can't be read ({reason}); remove the directory to start anew"
        ) from error
    kinds = {"parameters": dict, "seed": object, "environments": list}
    whole = isinstance(found, dict) and all(
        name in found and isinstance(found[name], kind) for name, kind in kinds.items()
    )
    if not whole:
        raise checks.InputError(
            f"{str(path)!r} does not describe a run; expected an object with {', '.join(kinds)}; "
            "remove the directory to start anew"
        )
    return found
