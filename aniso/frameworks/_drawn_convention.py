"""The convention of a covariance that is estimated from drawn gradients."""

from dataclasses import dataclass, replace

from aniso import matrices


@dataclass(frozen=True)
class DrawnConvention(matrices.Convention):
    """Convention of a covariance of drawn gradients, each as one step would use it.

    It is of the stage "mini-batch": `matrices.diffusion_covariance` multiplies it by the learning
    rate, and `matrices.minibatch_covariance` refuses it, because the batch is inside the draw.

    Attributes
    ----------
    num_examples : int
        n, the number of draws; the covariance has the divisor n - 1.

    Examples
    --------
    >>> print(DrawnConvention(50).diffusion(0.1))
    diffusion covariance: learning rate 0.1 × covariance of one drawn gradient, from 50 draws \
with the divisor 49
    """

    @property
    def stage(self):
        """One of "mini-batch", "diffusion"; "scaled" by a factor."""
        if self.factor != 1:
            return "scaled"
        return "mini-batch" if self.learning_rate is None else "diffusion"

    def __str__(self):
        if self.factor != 1:
            return f"{self.factor:g} × {replace(self, factor=1.0)}"
        drawn = (
            f"covariance of one drawn gradient, from {self.num_examples} draws with the divisor "
            f"{self.num_examples - 1}"
        )
        if self.learning_rate is None:
            return drawn
        return f"diffusion covariance: learning rate {self.learning_rate:g} × {drawn}"
