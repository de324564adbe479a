"""Places of arrays, a library and one of its devices, found from the arrays themselves.

There is no global switch. A computation runs where its arrays are, with the functions of their
library. :mod:`aniso.arrays.transfer` moves arrays between
places.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np
from array_api_compat import numpy as numpy_namespace

from aniso import checks, memory

if TYPE_CHECKING:
    from aniso.typing import Array


# bytes of one chunk's activations: with NumPy a few chunks must fit into the last cache level
# together; a library with threads of its own wants larger pieces of work, an accelerator by far
_NUMPY_CHUNK, _PROCESSOR_CHUNK, _ACCELERATOR_CHUNK = 16_000_000, 64_000_000, 500_000_000
_LIBRARIES = ("numpy", "torch", "cupy", "array_api_strict")


@dataclass(frozen=True)
class Place:
    """A library of arrays and one of its devices.

    Attributes
    ----------
    library : str
        "numpy", "torch", "cupy" or "array_api_strict".
    device : str
        The device's name, "cpu" for NumPy.
    handle : object
        The device as an object of the library.
    """

    library: str
    device: str
    handle: object = field(default=None, repr=False, compare=False)

    @property
    def namespace(self):
        """The library's functions, as the array API standard has them."""
        if self.library == "numpy":
            return numpy_namespace
        if self.library in ("torch", "cupy"):
            return importlib.import_module(f"array_api_compat.{self.library}")
        return importlib.import_module(self.library)

    @property
    def is_numpy(self):
        """Whether the library is NumPy."""
        return self.library == "numpy"

    @property
    def is_accelerator(self):
        """Whether the device is a graphics processor, known by its name "cuda"."""
        return self.device.startswith("cuda")

    @property
    def chunk_bytes(self):
        """Bytes of activations that one chunk of examples should have here."""
        if self.is_numpy:
            return _NUMPY_CHUNK
        return _ACCELERATOR_CHUNK if self.is_accelerator else _PROCESSOR_CHUNK

    @property
    def free_bytes(self):
        """Bytes of the device's memory that could be taken now, the library's own reserve too."""
        if not self.is_accelerator:
            return memory.available_bytes()
        library = importlib.import_module(self.library)
        if self.library == "torch":
            reserve = library.cuda.memory_reserved(self.handle)
            reserve -= library.cuda.memory_allocated(self.handle)
            return int(library.cuda.mem_get_info(self.handle)[0] + reserve)
        with self.handle:
            reserve = library.get_default_memory_pool().free_bytes()
            return int(library.cuda.runtime.memGetInfo()[0] + reserve)

    def dtype(self, name):
        """Return the library's own type like NumPy's `name`: "float64", "bool"."""
        return getattr(self.namespace, np.dtype(name).name)

    def zeros(self, shape, dtype):
        """Return zeros of a shape; `dtype` by name or as a `numpy.dtype`."""
        return self.namespace.zeros(shape, dtype=self.dtype(dtype), device=self.handle)

    def empty(self, shape, dtype):
        """Return an array to be written."""
        return self.namespace.empty(shape, dtype=self.dtype(dtype), device=self.handle)

    def eye(self, size, dtype):
        """Return the identity matrix."""
        return self.namespace.eye(size, dtype=self.dtype(dtype), device=self.handle)

    def __str__(self):
        return f"{self.library} on {self.device}"


NUMPY = Place("numpy", "cpu", "cpu")


def is_numpy(array):
    """Return whether an array is NumPy's, so that NumPy's faster functions apply.

    Examples
    --------
    >>> is_numpy(np.zeros(2))
    True
    """
    return isinstance(array, (np.ndarray, np.generic))


def is_foreign(value):
    """Return whether a value is an array of another library than NumPy.

    Examples
    --------
    >>> is_foreign([1.0]), is_foreign(np.zeros(2))
    (False, False)
    """
    return not is_numpy(value) and array_api_compat.is_array_api_obj(value)


def namespace(array: Array) -> Any:
    """Return the array API functions of an array's library.

    Examples
    --------
    >>> namespace(np.zeros(2)).concat([np.zeros(1), np.ones(1)])
    array([0., 1.])
    """
    if isinstance(array, np.ndarray):
        return numpy_namespace
    return array_api_compat.array_namespace(array)


def device(array: Array) -> Any:
    """Return the array's device, as its library's creation functions take it.

    Examples
    --------
    >>> device(np.zeros(2))
    'cpu'
    """
    return "cpu" if isinstance(array, np.ndarray) else array_api_compat.device(array)


def place_of(array):
    """Return the place of an array; any other value counts as NumPy's.

    Parameters
    ----------
    array : array or anything that NumPy makes one of
        Array of any supported library, a number or a list.

    Returns
    -------
    Place

    Raises
    ------
    InputError
        If the array's library is none of those that the engine runs on.

    Examples
    --------
    >>> str(place_of([1.0, 2.0]))
    'numpy on cpu'
    """
    if not is_foreign(array):
        return NUMPY
    library = namespace(array).__name__.removeprefix("array_api_compat.").partition(".")[0]
    if library not in _LIBRARIES:
        raise checks.InputError(
            f"arrays of {library}; expected arrays of {', '.join(_LIBRARIES)}: convert them first"
        )
    return _place(library, array_api_compat.device(array))


def _place(library, handle):
    if library == "cupy":
        return Place(library, f"cuda:{handle.id}", handle)
    if library == "array_api_strict":
        return Place(library, str(handle).partition("'")[2].rstrip("')"), handle)
    return Place(library, str(handle), handle)


def resolve(array, device=None):
    """Return the place that `device` names, for the library of `array`.

    Parameters
    ----------
    array : array
        Array whose library is used.
    device : str, device or Place, optional
        Where to: "cpu" or "cuda" (a number may follow: "cuda:1"), or a library's own device, for
        instance ``torch.device("cuda")``. Where the array is, if not given. NumPy arrays become
        CuPy arrays on "cuda"; the arrays of other libraries keep their library.

    Returns
    -------
    Place

    Raises
    ------
    InputError
        If there is no such device, its library is not installed, or CuPy makes new
        arrays on another card.

    Examples
    --------
    >>> resolve(np.zeros(2), "tpu")
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: device='tpu'; expected "cpu" or "cuda" for numpy arrays
    """
    return _current(_resolved(array, device))


def _resolved(array, device):
    if isinstance(device, Place):
        return device
    here = place_of(array)
    if device is None:
        return here
    if not isinstance(device, str):
        library = type(device).__module__.partition(".")[0]
        if library not in _LIBRARIES:
            raise checks.InputError(
                f"device={device!r}; expected a name or a device of {', '.join(_LIBRARIES)}"
            )
        return _checked(library, device)
    if here.is_numpy and device == "cpu":
        return NUMPY
    if device == here.device:
        return here
    library = "cupy" if here.is_numpy else here.library
    if library == "cupy" and device.partition(":")[0] != "cuda":
        rule = '"cpu" or "cuda" for numpy arrays'
        if not here.is_numpy:
            rule = '"cuda" for cupy arrays: aniso.arrays.transfer.to_numpy brings them back'
        raise checks.InputError(f"device={device!r}; expected {rule}")
    return _checked(library, device)


def _checked(library, device):
    # make the device and try it: an error names the missing part and its remedy
    try:
        if library == "torch":
            torch = importlib.import_module("torch")
            handle = torch.zeros(1, device=device).device
        elif library == "cupy":
            handle = _cupy_device(device)
        else:
            strict = importlib.import_module(library)
            handle = strict.Device(device) if isinstance(device, str) else device
    except (AssertionError, ImportError, RuntimeError, ValueError) as error:
        raise checks.InputError(
            f"device={str(device)!r} cannot be used: {_first_line(error)}; "
            + _REMEDIES.get(library, f"expected a device of {library}")
        ) from error
    return _place(library, handle)


def _current(place):
    # CuPy makes new arrays on its current card, even if another device is given
    if place.library != "cupy":
        return place
    current = importlib.import_module("cupy").cuda.runtime.getDevice()
    if place.handle.id != current:
        raise checks.InputError(
            f"device={place.device!r} and CuPy's current device is cuda:{current}; expected one "
            f"card: call cupy.cuda.Device({place.handle.id}).use() first"
        )
    return place


def _first_line(error):
    """Return the first line of an error's text that is not empty, else the error's type."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next(filter(None, lines), type(error).__name__)


_REMEDIES = {
    "cupy": (
        "the extra aniso[gpu] installs CuPy, and an NVIDIA driver must be at work (nvidia-smi "
        'shows it); device="cpu" needs neither'
    ),
    "torch": (
        "expected a PyTorch built for CUDA and an NVIDIA driver at work (nvidia-smi shows it); "
        'device="cpu" needs neither'
    ),
}


def _cupy_device(device):
    cupy = importlib.import_module("cupy")
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        if not isinstance(device, str):
            return device
        number = device.partition(":")[2]
        index = int(number) if number else cupy.cuda.runtime.getDevice()
        if not 0 <= index < count:
            raise ValueError(f"there are {count} devices")
        return cupy.cuda.Device(index)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"CuPy finds no device ({error})") from error
