"""Stored data of a figure: arrays, where they come from, and the verdicts of its claims."""

import hashlib
import json
import sys

import aniso
from analysis import image_sources
from analysis.figure import seeds_of
from aniso import checks
from aniso.runs import array_files, files, provenance

# found before the work, by `Figure.prepare`
_PREPARED = ("images", "tuned")
# entries of a description that are read without its arrays, with their types
_ENTRIES = {"figure": str, "scale": str, "parameters": dict}


def key(parameters):
    """Return the SHA-256 of the parameters, which identifies stored data."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()


def key_of(parameters):
    """Return the key of what stored data depend on: no device, no digests of data."""
    return key(_wanted(parameters))


def difference(stored, prepared):
    """Return in what stored data differ from what was prepared, as text; "" where in nothing.

    Parameters
    ----------
    stored : dict
        Of :func:`load`.
    prepared : dict
        Of the figure's ``prepare``, or {} where no images are named.

    Returns
    -------
    str
    """
    if not prepared or stored["prepared"] == prepared:
        return ""
    return "other images" + " or another sigma of GLD const" * ("tuned" in stored["prepared"])


def notices(figure, stored):
    """Return what a reader must know of stored data, a list of sentences.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    stored : dict
        Of :func:`load`, or computed now; the latter needs no notice.

    Returns
    -------
    list of str
        Another revision or version that made them, and a source of images that is not official.
    """
    if "seconds" in stored:
        return []
    found = []
    made_by, now = (stored["revision"], stored["version"]), (figure.revision, aniso.__version__)
    if made_by != now:
        found.append(
            "the stored data were made by revision {} of the figure with aniso {}; these are "
            "revision {} and aniso {}: --fresh computes them anew".format(*made_by, *now)
        )
    if source := image_sources.unverified(stored["prepared"]):
        found.append(f"the stored data are of {source}")
    return found


def load(data, parameters):
    """Return stored arrays and their provenance; None if absent, damaged or of other parameters.

    Parameters
    ----------
    data : Path
        The ``.npz``; its description is the ``.json`` of the same name.
    parameters : dict
        Parameters that the stored arrays must have been made with.

    Returns
    -------
    dict or None
        "arrays", "revision" of the figure and "version" of aniso that made them, "prepared" (the
        digests of the data) and "diverged".
    """
    description = data.with_suffix(".json")
    if not (data.exists() and description.exists()):
        return None
    try:
        found = json.loads(description.read_text(encoding="utf-8"))
        arrays, own = array_files.load_arrays(data)
        if found["key"] != key_of(parameters):
            return None
        if own != _mark(found):
            print(
                f"{str(data)!r} and its .json are not of one computation: left aside",
                file=sys.stderr,
            )
            return None
        return {
            "arrays": arrays,
            "revision": found["revision"],
            "version": found["environment"]["packages"]["aniso"],
            "prepared": found.get("prepared", {}),
            "diverged": found.get("diverged", []),
        }
    except Exception as error:  # a damaged archive raises almost anything
        print(f"{str(data)!r} is damaged ({type(error).__name__}): left aside", file=sys.stderr)
        return None


def described(path):
    """Return the description of stored data.

    Parameters
    ----------
    path : Path
        A ``.json`` of :func:`save`.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If it is damaged, or no description.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        wrong = [name for name, kind in _ENTRIES.items() if not isinstance(found[name], kind)]
    except (ValueError, KeyError, TypeError) as error:
        raise _no_description(path, f"{type(error).__name__}: {error}") from error
    if wrong:
        raise _no_description(path, f"of another form: {', '.join(wrong)}")
    return found


def _no_description(path, reason):
    return checks.InputError(
        f"{str(path)!r} is no description of stored data ({reason}); expected a file that is as it "
        "was written: restore it, or remove it to compute the data anew"
    )


def read(path):
    """Return description and arrays of stored data.

    Parameters
    ----------
    path : Path
        The ``.json``, beside the ``.npz`` of the same name.

    Returns
    -------
    (dict, dict of str to ndarray)

    Raises
    ------
    InputError
        If one of the files is damaged, or they are not of one computation.
    """
    found = described(path)
    arrays, own = array_files.load_arrays(path.with_suffix(".npz"))
    if own != _mark(found):
        raise checks.InputError(
            f"{str(path)!r} and its .npz are not of one computation; expected two files that were "
            "written together: restore them, or remove them to compute them anew"
        )
    return found, arrays


def _mark(description):
    """Return the text that the arrays of a description carry; older ones carry the key."""
    return description.get("written", description.get("key"))


def _wanted(parameters):
    # the picture is the same on every device; what was prepared is compared by itself
    left_out = ("device", *_PREPARED)
    return {name: parameters[name] for name in parameters if name not in left_out}


def save(figure, scale, data, parameters, stored):
    """Write arrays as ``.npz``, and their provenance as ``.json`` in the same folder.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale : str
        One of :data:`analysis.figure.SCALES`.
    data : Path
        The ``.npz`` to write.
    parameters : dict
        Parameters that the arrays were made with.
    stored : dict
        "arrays", "seconds" and "diverged".
    """
    description = {
        "figure": figure.name,
        "scale": scale,
        "parameters": _wanted(parameters),
        "prepared": {name: parameters[name] for name in parameters if name in _PREPARED},
        "device": parameters.get("device", "cpu"),
        "key": key_of(parameters),
        "revision": figure.revision,
        "seconds_of_this_call": round(stored["seconds"], 1),
        "diverged": stored["diverged"],
        "environment": provenance.environment(),
    }
    # both files carry it: a write that was cut off between the two mixes nothing
    description["written"] = key(description)
    array_files.save_arrays(data, stored["arrays"], description["written"])
    _write_json(data.with_suffix(".json"), description)


def refuse_used_seeds(figure, scale, data, parameters):
    """Refuse seeds of a study that stored data of the same figure and scale have used.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale : str
        A scale of a study.
    data : Path
        The ``.npz`` of these parameters, which may hold the seeds itself.
    parameters : dict
        With "num_seeds" and "first_seed", and the digests of images where images are named.

    Raises
    ------
    InputError
        If another file beside `data` holds one of the seeds. A replication needs new ones. A file
        with the first of the same seeds is no obstacle: it is a part of this study. If a
        description there is damaged.
    """
    wanted = set(seeds_of(parameters))
    for path in sorted(data.parent.glob(f"{figure.name}_{scale}*.json")):
        if path == data.with_suffix(".json"):
            continue
        found = described(path)
        stored = found["parameters"]
        if found["scale"] != scale or stored.get("preset") != parameters.get("preset"):
            continue
        if image_sources.mark(found.get("prepared", {})) != image_sources.mark(parameters):
            continue
        try:
            own = seeds_of(stored)
        except (KeyError, TypeError) as error:
            raise _no_description(path, f"{type(error).__name__}: {error}") from error
        if own[0] == min(wanted) and len(own) < len(wanted):  # a part of these, without verdicts
            continue
        if used := sorted(wanted & set(own)):
            raise checks.InputError(
                f"--first-seed: the seeds {used} are used in {str(path)!r}; expected new ones, "
                f"for instance --first-seed {max(own) + 1}"
            )


def update_claims(figure, data, parameters, arrays):
    """Write the verdicts of the present rules into the description; provenance is kept."""
    path = data.with_suffix(".json")
    description = json.loads(path.read_text(encoding="utf-8"))
    found = [claim.as_plain() for claim in figure.judge(parameters, arrays)]
    if json.loads(json.dumps(found)) != description.get("claims"):
        _write_json(path, description | {"claims": found})


def _write_json(path, content):
    with files.atomic_writer(path) as stream:
        json.dump(content, stream, indent=1, allow_nan=False)
        stream.write("\n")
