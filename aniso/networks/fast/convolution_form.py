"""Base of the fast convolutions: what they take from the plain layer."""

from dataclasses import dataclass

from aniso.networks.layers.convolution import Convolution
from aniso.networks.layers.layer import Layer


@dataclass(frozen=True)
class ConvolutionForm(Layer):
    """The same map as a convolution, computed in another way; an abstract class.

    Shapes, and everything that is computed for single examples, are those of the convolution. Its
    memory is made of the inputs when one of them is asked for.

    Parameters
    ----------
    convolution : Convolution
        The convolution.
    """

    convolution: Convolution

    @classmethod
    def examples(cls):
        """Return no case: a form has its own."""
        return []

    def output_shape(self, input_shape):
        """Return the output shape of the convolution."""
        return self.convolution.output_shape(input_shape)

    def parameter_shapes(self, input_shape):
        """Return the parameter shapes of the convolution."""
        return self.convolution.parameter_shapes(input_shape)

    def plain(self, parameters, inputs):
        """Return the convolution by autograd's NumPy, examples first."""
        return self.convolution.plain(parameters, inputs)

    def inputs_of(self, memory):
        """Return the inputs (C, H, W, n) of a forward pass."""
        raise NotImplementedError(f"{type(self).__name__}.inputs_of")

    def _plain_memory(self, memory):
        return self.convolution.prepare(self.inputs_of(memory))

    # ---- per example: by window columns, as the plain convolution

    def per_example_gradients(self, memory, delta):
        """Return the gradients of the single examples, as the convolution does."""
        return self.convolution.per_example_gradients(self._plain_memory(memory), delta)

    def gradient_square_norms(self, memory, delta):
        """Return the squared norms, as the convolution does."""
        return self.convolution.gradient_square_norms(self._plain_memory(memory), delta)

    def gradient_squares(self, memory, delta, weights):
        """Return the weighted squares, as the convolution does."""
        return self.convolution.gradient_squares(self._plain_memory(memory), delta, weights)

    # ---- routes of the cached linearisation

    def start_route(self, memory):
        """Return the route of the convolution."""
        return self.convolution.start_route(self._plain_memory(memory))

    def unit_patches(self, memory, index):
        """Return the input windows of output units, as the convolution does."""
        return self.convolution.unit_patches(self._plain_memory(memory), index)

    def input_rows(self, parameters, input_shape):
        """Return the convolution as a matrix that acts on flat inputs, (units out, units in)."""
        return self.convolution.input_rows(parameters, input_shape)
