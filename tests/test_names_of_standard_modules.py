"""A user's file may have the name of a standard module; its functions count for the checkpoint."""

import importlib
import math
import sys

import numpy as np
import pytest

from aniso.langevin.experiment_identity import fingerprint

DRIFT = """
import math

class Model:
    def factor(self):
        return {factor}

def drift(theta, parameters, out):
    out[0] = -{factor} * math.sin(theta[0])
"""


@pytest.mark.parametrize("name", ["profile", "sched", "this"])
@pytest.mark.parametrize("as_package", [False, True])
def test_the_body_counts(name, as_package, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / name / "__init__.py" if as_package else tmp_path / f"{name}.py"
    path.parent.mkdir(exist_ok=True)

    def made(factor):
        path.write_text(DRIFT.format(factor=factor))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        library = importlib.import_module(name)
        assert library.__file__ == str(path)
        return fingerprint(library.drift), fingerprint(library.Model())

    first, same, other = made("1.0"), made("1.0"), made("22.0")
    assert first == same
    assert not set(first) & set(other)
    monkeypatch.delitem(sys.modules, name)


def test_the_standard_library_enters_by_name():
    # json is of Python files, math and sys have none
    for value in (math.sin, sys.getsizeof, importlib.import_module("json").dumps, np.sin):
        assert len(fingerprint(value)) == 64
