"""A pytree of JAX arrays as one vector, in the order of `jax.flatten_util.ravel_pytree`."""

import jax
import jax.numpy as jnp
import numpy as np

from aniso import checks


def precision(dtype):
    """Return a context in which JAX computes in a precision; the caller's setting comes back."""
    enable = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
    return enable(np.dtype(dtype) == np.float64)


def ambient_precision():
    """Precision that JAX computes in now, float64 or float32."""
    return np.dtype(np.float64 if jax.config.jax_enable_x64 else np.float32)


class Parameters:
    """The shapes and names of a pytree of parameters.

    Parameters
    ----------
    params : pytree of arrays
        Real floating-point numbers in single or double precision.

    Attributes
    ----------
    num_parameters : int
        D.
    shapes : list of tuple
        Of the leaves in their order.
    """

    def __init__(self, params):
        found, self._structure = jax.tree_util.tree_flatten_with_path(params)
        for path, leaf in found:
            _require_real(f"params{jax.tree_util.keystr(path)}", leaf)
        self._paths = [tuple(map(_key, path)) for path, _ in found]
        self.shapes = [np.shape(leaf) for _, leaf in found]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]
        self.num_parameters = sum(self.sizes)
        if self.num_parameters == 0:
            raise checks.InputError("params holds no numbers; expected at least one parameter")

    def theta_of(self, params):
        """Parameters of a pytree as a NumPy vector, shape (D,), in double precision.

        Raises
        ------
        InputError
            If the pytree has another structure or other shapes.
        """
        leaves, structure = jax.tree_util.tree_flatten(params)
        shapes = [np.shape(leaf) for leaf in leaves]
        if structure != self._structure or shapes != self.shapes:
            raise checks.InputError(
                f"params has the structure {structure} with shapes {shapes}; expected those of "
                f"the problem, {self._structure} with shapes {self.shapes}"
            )
        return np.concatenate([np.asarray(leaf, dtype=np.float64).ravel() for leaf in leaves])

    def tree(self, theta):
        """Return the pytree of a vector (D,), in its precision; JAX can trace it."""
        leaves, start = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            leaves.append(jnp.reshape(theta[start : start + size], shape))
            start += size
        return jax.tree_util.tree_unflatten(self._structure, leaves)

    def blocks(self, kind):
        """Parts of theta by name, a dict of str to slice.

        Parameters
        ----------
        kind : {"keys", "leaves"}
            One part for each top-level key, or one for each array. Where all arrays lie below the
            same keys, the keys below these count.
        """
        shared = _common_length(self._paths)
        made, start = {}, 0
        for path, size in zip(self._paths, self.sizes, strict=True):
            below = path[shared:] or path[-1:] or ("params",)
            name = ".".join(below if kind == "leaves" else below[:1])
            if size:
                made[name] = slice(made[name].start if name in made else start, start + size)
            start += size
        return made


def _common_length(paths):
    """Number of leading keys that all paths share."""
    levels = zip(*paths, strict=False)
    return next((n for n, keys in enumerate(levels) if len(set(keys)) > 1), min(map(len, paths)))


def _key(entry):
    for name in ("key", "idx", "name"):
        if hasattr(entry, name):
            return str(getattr(entry, name))
    return str(entry)


def _require_real(name, leaf):
    dtype = np.float64 if isinstance(leaf, float) else getattr(leaf, "dtype", None)
    if dtype is None:
        raise checks.InputError(
            f"{name} is a {type(leaf).__name__}; expected an array of parameters: keep functions "
            "and settings in the loss, for instance by equinox.partition"
        )
    if jnp.issubdtype(dtype, jax.dtypes.prng_key) or np.dtype(dtype).kind in "iub":
        raise checks.InputError(
            f"{name} has dtype {dtype}; expected real floating-point numbers: a key or a counter "
            "is no parameter, and a loss that draws random numbers belongs to from_draws"
        )
    if dtype not in (np.float32, np.float64):
        raise checks.InputError(
            f"{name} has dtype {dtype}; expected float32 or float64: other numbers have too few "
            "digits for second derivatives"
        )
    if not np.isfinite(np.asarray(leaf)).all():
        raise checks.InputError(f"{name} is not finite; expected finite numbers")
