"""The places that the engine's tests run at: one test body, every array library at hand.

``array_api_strict`` refuses whatever the array API standard does not have; its second device,
whose arrays mix with no others and turn into NumPy's by no accident, stands for a graphics
processor's memory. CuPy and PyTorch on a graphics processor run where there is one (marker `gpu`).
"""

import importlib

import numpy as np
import pytest

from aniso import checks
from aniso.arrays import places


def _parameter(name, device, *marks):
    try:
        place = places.resolve(np.zeros(1), device())
    except (ImportError, checks.InputError) as error:
        return pytest.param(None, id=name, marks=[*marks, pytest.mark.skip(reason=str(error))])
    return pytest.param(place, id=name, marks=marks)


def _torch(device):
    return importlib.import_module("torch").device(device)


def _strict(device):
    return importlib.import_module("array_api_strict").Device(device)


FOREIGN = [
    _parameter("array_api_strict", lambda: _strict("device1")),
    _parameter("torch", lambda: _torch("cpu")),
    _parameter("torch-cuda", lambda: _torch("cuda"), pytest.mark.gpu),
    _parameter("cupy", lambda: "cuda", pytest.mark.gpu),
]
PLACES = [_parameter("numpy", lambda: "cpu"), *FOREIGN]
every_place = pytest.mark.parametrize("place", PLACES)
every_foreign_place = pytest.mark.parametrize("place", FOREIGN)
