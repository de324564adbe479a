"""The passes of one part of the examples through a plan: forward, back, and with tangents."""

import numpy as np

from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import kernels, row_kernels
from aniso.networks.plans.outputs import write_deltas
from aniso.networks.plans.workspace import activate

# examples whose inputs and deltas are gathered before their gradients are written
_ROWS_TOGETHER = 32
_PACKED_ENTRIES = 2**15
# a larger result is written past the cache
_STREAMED_BYTES = 2**25


class ExamplePass:
    """Passes of the examples of `part`, by one thread.

    Parameters
    ----------
    plan : DensePlan
        Its arrays are used; ``plan.moving`` gets the operands that lie in a caller's memory.
    part : slice
        Numbers of the examples.

    Attributes
    ----------
    finite : bool
        Whether the outputs of the last pass were finite.
    """

    def __init__(self, plan, part):
        self.plan, self.part, self.finite = plan, part, True
        space, layers = plan.space, plan.layers
        below = plan.inputs[part].T
        self.forward_products, self.tangent_products, self.back_products = [], [], []
        for number, weights in enumerate(plan.stacked):
            outputs, deltas = space.outputs[number], space.deltas[number][:, part]
            tall = outputs.reshape(-1, plan.num_examples)[:, part]
            forward = BoundProduct(tall, weights.reshape(-1, layers[number].num_inputs), below)
            if number == 0 and plan.copied is None:
                plan.moving["inputs"].append((forward.right, plan.anchor("inputs", below)))
            self._moves_with_theta(forward, weights)
            self.forward_products.append(forward)
            tangents, back = [], []
            if number:
                back.append(BoundProduct(space.deltas[number - 1][:, part], weights[0].T, deltas))
                self._moves_with_theta(back[0], weights)
                for k in range(plan.num_vectors):
                    lower = space.outputs[number - 1][1 + k][:, part]
                    tangents.append(
                        BoundProduct(outputs[1 + k][:, part], weights[0], lower, beta=1.0)
                    )
                    own, lower = (space.moved[i][k][:, part] for i in (number, number - 1))
                    back.append(BoundProduct(lower, weights[0].T, own))
                    back.append(BoundProduct(lower, weights[1 + k].T, deltas, beta=1.0))
            self.tangent_products.append(tangents)
            self.back_products.append(back)
            below = outputs[0][:, part]

    def _moves_with_theta(self, product, weights):
        if self.plan.num_vectors == 0:
            distance = self.plan.anchor("theta", weights)
            self.plan.moving["theta"].append((product.left, distance))

    def forward(self):
        """Compute the outputs."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self._forward()

    def _forward(self):
        plan, space, part = self.plan, self.plan.space, self.part
        if plan.copied is not None:
            np.copyto(plan.copied[part], plan.given_inputs[part])
        for number, layer in enumerate(plan.layers):
            self.forward_products[number]()
            for product in self.tangent_products[number]:
                product()
            outputs, slopes = space.outputs[number], space.slopes[number]
            biases = plan.given_theta[layer.biases]
            activate(layer.activation, outputs[0], biases, slopes, space.curvatures[number], part)
            if plan.num_vectors == 0:
                continue
            tangents, directions = outputs[1:], plan.stacked_biases[number]
            if layer.activation is None or layer.curved:
                tangents[:, :, part] += directions[:, :, None]
                if layer.curved:
                    space.before[number][:, :, part] = tangents[:, :, part]
                    kernels.scaled(tangents, slopes, part.start, part.stop)
            else:
                kernels.moved(tangents, directions, slopes, part.start, part.stop)

    def both_ways(self):
        """Compute the outputs and the deltas, and the tangents of both if there are directions."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self._forward()
            self._back()

    def _back(self):
        plan, space, part = self.plan, self.plan.space, self.part
        outputs = space.outputs[-1]
        self.finite = write_deltas(
            plan.output_loss,
            outputs[0],
            outputs[1:],
            plan.targets[part],
            plan.scale,
            space.deltas[-1],
            space.moved[-1],
            part,
        )
        for number in range(len(plan.layers) - 1, 0, -1):
            for product in self.back_products[number]:
                product()
            self._through_activation(number - 1)

    def _through_activation(self, number):
        space, (start, stop) = self.plan.space, (self.part.start, self.part.stop)
        deltas, slopes, moved = space.deltas[number], space.slopes[number], space.moved[number]
        curvatures, before = space.curvatures[number], space.before[number]
        if self.plan.num_vectors:
            kernels.scaled(moved, slopes, start, stop)
        if curvatures is not None:
            curvatures[:, self.part] *= deltas[:, self.part]
            moved[:, :, self.part] += curvatures[:, self.part] * before[:, :, self.part]
        kernels.scaled(deltas[None], slopes, start, stop)

    def rows(self):
        """Compute the deltas, and write the gradients of the examples to the plan's `rows`."""
        self.both_ways()
        plan, space, part = self.plan, self.plan.space, self.part
        shapes = np.array([layer.shape for layer in plan.layers])
        together = max(1, min(_ROWS_TOGETHER, _PACKED_ENTRIES // shapes.sum()))
        packed = np.empty((together, shapes.sum()), plan.dtype)
        result = plan.rows
        write = row_kernels.write_rows
        if result.nbytes > _STREAMED_BYTES:
            write = row_kernels.stream_rows
        for start in range(part.start, part.stop, together):
            block, place = slice(start, min(start + together, part.stop)), 0
            own = packed[: block.stop - block.start]
            for number, (units, ins) in enumerate(shapes):
                below = space.outputs[number - 1][0][:, block].T if number else None
                source = plan.read_inputs[block] if below is None else below
                np.copyto(own[:, place : place + ins], source)
                place += ins
                np.copyto(own[:, place : place + units], space.deltas[number][:, block].T)
                place += units
            write(result[block], own, shapes)
