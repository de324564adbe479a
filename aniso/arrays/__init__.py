"""Any array library: places of arrays, their transfer, and functions that the standard lacks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["functions", "kernel_cache", "places", "transfer"],
    submod_attrs={"kernel_cache": ["njit"], "places": ["device", "namespace"]},
)
