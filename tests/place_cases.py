"""The places that the engine's tests run at: one test body, every array library at hand.

``array_api_strict`` refuses whatever the array API standard does not have; its second device,
whose arrays mix with no others and turn into NumPy's by no accident, stands for a graphics
processor's memory. CuPy and PyTorch on a graphics processor run where there is one (marker `gpu`).
A place that is not at hand has no cases; ABSENT says why, and one skipped test reports it.
"""

import importlib

import numpy as np
import pytest

from aniso import checks
from aniso.arrays import places


def _torch(device):
    return importlib.import_module("torch").device(device)


def _strict(device):
    return importlib.import_module("array_api_strict").Device(device)


_DEVICES = {
    "numpy": lambda: "cpu",
    "array_api_strict": lambda: _strict("device1"),
    "torch": lambda: _torch("cpu"),
    "torch-cuda": lambda: _torch("cuda"),
    "cupy": lambda: "cuda",
}
_GPU = ("torch-cuda", "cupy")
PLACES, ABSENT = [], dict.fromkeys(_DEVICES, "")
for _name, _device in _DEVICES.items():
    try:
        _place = places.resolve(np.zeros(1), _device())
    except (ImportError, checks.InputError) as error:
        ABSENT[_name] = str(error)
    else:
        _marks = [pytest.mark.gpu] if _name in _GPU else []
        PLACES.append(pytest.param(_place, id=_name, marks=_marks))
FOREIGN = PLACES[1:]
every_place = pytest.mark.parametrize("place", PLACES)
every_foreign_place = pytest.mark.parametrize("place", FOREIGN)
