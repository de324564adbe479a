"""Interface of the fast ways to compute quantities of a network; layers compute the others."""

import numpy as np

from aniso import checks


def is_finite(array):
    """Return whether all entries are finite."""
    # a sum of squares is the faster test; it may overflow where the entries do not
    flat = array.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat))) or bool(np.isfinite(flat).all())


def refuse(network, theta):
    """Refuse a theta of which a result is not finite.

    Raises
    ------
    InputError
        Always.
    """
    raise checks.InputError(
        f"theta, with entries up to {np.abs(theta).max():g}, gives outputs or derivatives "
        f"that are not finite in {network.dtype}; expected finite numbers: lower theta or "
        "the scale of the inputs"
    )


class Way:
    """A way in which a network may compute some of its quantities; by default it has none.

    Arguments have been checked. Each method writes its quantity to given memory, and returns
    whether it has done so. After False the next way is asked, and at last the passes by layers.

    A way keeps no reference to its network, which is an argument of every call. It serves one call
    at a time: calls from several threads wait for each other.

    Attributes
    ----------
    most_vectors : int
        Up to so many vectors a Hessian product takes no more time than one with cached factors.
    """

    most_vectors = 0

    def outputs(self, network, theta, out):  # noqa: ARG002
        """Write the outputs to `out` (N, C), in double precision."""
        return False

    def gradient(self, network, theta, out, losses):  # noqa: ARG002
        """Write the gradient of the mean loss to `out` (D,).

        `losses` is None, or an array (N,) of double precision to which the losses are written.
        """
        return False

    def per_example_gradients(self, network, theta, out):  # noqa: ARG002
        """Write the gradients of every example's loss to `out` (N, D)."""
        return False

    def hessian_product(self, network, theta, rows, out):  # noqa: ARG002
        """Write the products of the Hessian with `rows` (K, D), of any strides, to `out` (K, D)."""
        return False

    def sgd_steps(self, network, theta, batches, learning_rates):  # noqa: ARG002
        """Take steps of SGD, theta (D,) in place, and return how many were taken.

        `batches` (T, m) has the numbers of the examples of every step, and `learning_rates` (T,)
        its factor. Each step has the bits of :meth:`gradient` on these examples. The first step
        whose result would not be finite ends them.
        """
        return 0
