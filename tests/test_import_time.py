"""Packages that load at the call, since they take a third of the time of an import."""

import subprocess
import sys

import pytest

PROGRAM = """
import importlib, sys
package = importlib.import_module(sys.argv[1])
for name in dir(package):
    getattr(package, name)
print("scipy.stats" in sys.modules)
"""


@pytest.mark.parametrize("package", ["aniso.networks", "aniso.escape"])
def test_statistics_load_where_they_are_used(package):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, package], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
