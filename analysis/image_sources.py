"""The images that stored data were made of: those of the repository's figures, or a user's own."""

import hashlib
import json
from pathlib import Path

# sources of images whose checksums are verified, see `aniso.datasets`
_VERIFIED = ("the official files, ", "the subset in the package, ")
# digests of the files with which the stored studies of Figures 1 and 6 were made
_OF_THE_STUDIES = {"cifar10": "3cdb7381d3ce9064", "svhn": "9ec785d9a07042d5"}


def is_own(name, images):
    """Return whether images of a data set are neither verified nor those of the stored studies.

    Parameters
    ----------
    name : str
        Name of the data set.
    images : dict
        "source" and "digest", as a figure's ``prepare`` returns them.

    Returns
    -------
    bool
    """
    return not is_verified(images["source"]) and images["digest"] != _OF_THE_STUDIES.get(name)


def is_verified(source):
    """Return whether images of this source agree with published checksums.

    Examples
    --------
    >>> is_verified("the official files, checksums verified")
    True
    >>> is_verified("cifar10.npz, a file of the user's")
    False
    """
    return str(source).startswith(_VERIFIED)


def mark(prepared):
    """Return eight digits that identify a user's own images, "" for those of the repository.

    Parameters
    ----------
    prepared : dict
        With or without "images", as a figure's ``prepare`` returns them; further entries are
        ignored.

    Returns
    -------
    str
    """
    images = prepared.get("images", {})
    if not any(is_own(name, images[name]) for name in images):
        return ""
    digests = {name: images[name]["digest"] for name in images}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:8]


def label(name, images):
    """Return the source of images for stored arrays and titles; own images have their digest.

    Examples
    --------
    >>> label("svhn", {"source": "svhn.npz, a file of the user's", "digest": "0123456789abcdef"})
    'svhn.npz (images 01234567)'
    """
    if not is_own(name, images):
        return images["source"]
    file = Path(images["source"].partition(", ")[0]).name
    return f"{file} (images {images['digest'][:8]})"


def unverified(prepared):
    """Return the sources of images that are not verified, as text; "" where all are.

    Examples
    --------
    >>> images = {"source": "svhn.npz, a file of the user's", "digest": "0123456789abcdef"}
    >>> unverified({"images": {"svhn": images}})
    "svhn.npz, a file of the user's (digest 0123456789abcdef)"
    """
    return "; ".join(
        f"{images['source']} (digest {images['digest']})"
        for images in prepared.get("images", {}).values()
        if not is_verified(images["source"])
    )
