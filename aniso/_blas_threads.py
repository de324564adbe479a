"""Number of threads of BLAS, for the time of a computation."""

import contextlib
import functools


@contextlib.contextmanager
def blas_threads(number):
    """Return a context in which BLAS uses `number` threads, entered in some microseconds."""
    changed = []
    try:
        for library in _controller().lib_controllers:
            before = library.get_num_threads()
            if before != number:
                changed.append((library, before))
                library.set_num_threads(number)
        yield
    finally:
        for library, before in changed:
            library.set_num_threads(before)


@functools.cache
def _controller():
    # loads SciPy's own BLAS before the libraries are counted, which takes milliseconds
    import scipy.linalg.blas  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
