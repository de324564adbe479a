"""Arrays in one file: what comes back, and what is refused before a file appears."""

import numpy as np
import pytest

from aniso import checks
from aniso.runs import array_files, run_directory


def test_arrays_of_every_plain_kind_come_back(tmp_path, rng):
    pair = np.zeros(2, dtype=[("count", int), ("name", "U3")])
    given = {
        "numbers": rng.standard_normal((2, 3)),
        "": np.array(True),
        "npy": np.array(["text", "more"]),
        "a/b.c": np.array([1j], dtype=np.complex64),
        "pair": pair,
        "list": [1, 2],
    }
    array_files.save_arrays(tmp_path / "arrays.npz", given, "text")
    found, text = array_files.load_arrays(tmp_path / "arrays.npz")
    assert (list(found), text) == (list(given), "text")
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array, strict=isinstance(array, np.ndarray))


@pytest.mark.parametrize("name", ["allow_pickle", "file", "details_json", "x.npy", "x\0y", 3])
def test_a_name_that_would_lose_its_array_is_refused(tmp_path, name):
    arrays = {"x": np.ones(1), name: np.zeros(1)}
    with pytest.raises(checks.InputError, match=r"an array has the name .*; expected text without"):
        array_files.save_arrays(tmp_path / "arrays.npz", arrays, "text")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([{}]), "array 'found' has dtype object; expected numbers, truth values or text"),
        (np.zeros(1, dtype=[("a", object)]), "array 'found' has dtype .*; expected numbers"),
        (np.ma.masked_equal([1.0, -9.0], -9.0), "array 'found' is a masked array, 1 of 2 entries"),
    ],
)
def test_an_array_that_would_not_come_back_is_refused(tmp_path, value, message):
    with pytest.raises(checks.InputError, match=message):
        run_directory.stored_arrays(tmp_path, {}, 0, lambda: {"found": value})
    assert not (tmp_path / "result.npz").exists()


def test_arrays_without_names_are_refused(tmp_path):
    with pytest.raises(checks.InputError, match="arrays has type list; expected a dictionary of"):
        run_directory.stored_arrays(tmp_path, {}, 0, lambda: [np.ones(1)])
