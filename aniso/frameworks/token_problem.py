"""A PyTorch model of sequences, with each token as an example."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aniso.frameworks import _torch_data, _torch_known_losses, _torch_products, _trees
from aniso.frameworks._torch_outputs import TensorOutputs
from aniso.frameworks.torch_problem import TorchProblem
from aniso.problems import problem_checks

if TYPE_CHECKING:
    from aniso.typing import ArrayLike


class TokenModel(TensorOutputs, TorchProblem):
    """Mean loss of the tokens of sequences; ``from_torch(..., example="token")`` makes it.

    A :class:`TorchModel` whose examples are tokens. A pass computes whole sequences, and takes the
    losses of the tokens that count.

    Attributes
    ----------
    unit : str
        "token".
    num_examples : int
        N, the number of tokens that count.
    num_sequences : int
        Sequences that hold them.
    """

    num_sequences: int

    unit = "token"

    def __init__(
        self,
        vectors: Any,
        checked: Any,
        inputs: Any,
        targets: Any,
        chunk_size: int | None,
        tokens: Any,
    ) -> None:
        super().__init__(vectors, checked, inputs, targets, chunk_size)
        self.num_sequences, self.num_examples, self._tokens = self.num_examples, len(tokens), tokens
        self._starts = tokens.starts()

    def subset(self, indices: ArrayLike) -> TokenModel:
        """Return the same problem on some of the tokens, in the order of `indices`."""
        indices = problem_checks.checked_indices(indices, self.num_examples)
        indices = torch.as_tensor(indices.astype(np.int64)).to(self._vectors.device)
        sequences, tokens = self._tokens.taken(indices).within()
        with torch.inference_mode(mode=False):
            inputs, targets = _torch_data.taken((self._inputs, self._targets), sequences)
        return self._with(self._checked, inputs, targets, tokens=tokens)

    def _like(self, vectors, checked, inputs, targets, tokens=None):
        tokens = (tokens or self._tokens).moved(vectors.device)
        return type(self)(vectors, checked, inputs, targets, self._given_chunk, tokens)

    def _counted(self):
        sequences = f"{self.num_sequences} sequence{'s' * (self.num_sequences != 1)}"
        return f"N = {self.num_examples} tokens of {sequences}"

    # ---- passes over chunks

    def _chunks(self, size=None):
        """Yield parts of the tokens that, as a rule, do not divide a sequence."""
        size, begin = size or self.chunk_size, 0
        for stop, following in zip(self._starts[1:], [*self._starts[2:], None], strict=True):
            if following is None or following - begin > size:
                yield slice(begin, stop)
                begin = stop

    @property
    def _rows_at_once(self):
        # each token has a copy of its sequence there
        return max(1, super()._rows_at_once // self._tokens.length)

    def _batch(self, chunk):
        return self._tokens.taken(chunk).alone(self._inputs, self._targets)

    def _sequences(self, chunk):
        """Return the inputs and targets of the sequences of a chunk, and the tokens in them."""
        sequences, tokens = self._tokens.taken(chunk).within()
        return *_torch_data.taken((self._inputs, self._targets), sequences), tokens

    def _losses_of(self, chunk):
        inputs, targets, tokens = self._sequences(chunk)

        def losses(parts):
            outputs = self._vectors.outputs(parts, inputs)
            return self._checked.factor * self._checked.losses.of_tokens(outputs, targets, tokens)

        return losses

    # ---- outputs of a token

    @cached_property
    def _known(self):
        """Loss of the outputs of tokens, and their targets."""
        shape, targets = self._checked.output_shape, self._tokens.of_tree(self._targets)
        checked = replace(self._checked, losses=self._checked.losses.losses)
        if isinstance(targets, torch.Tensor):
            plain = tuple(length for length in shape if length != 1) or (1,)
            flat = targets.flatten(1) if targets.is_floating_point() else targets[:, 0]
            with contextlib.suppress(_torch_known_losses.Unknown):
                return _torch_known_losses.known(checked.losses, plain, flat)
        return _torch_known_losses.OutputLoss(checked, self._vectors, shape), targets

    def _outputs(self, point, chunk):
        inputs, _, tokens = self._sequences(chunk)
        outputs = self._vectors.outputs(point, inputs)
        return self._checked.losses.outputs(outputs, tokens).reshape(len(tokens), -1)

    def _rows_of_output(self, point, chunk, number):
        vectors, losses = self._vectors, self._checked.losses
        if not self._checked.rows_together:
            rows = _torch_products.rows_one_by_one(
                vectors, lambda parts: self._outputs(parts, chunk)[:, number], point
            )
            return vectors.joined(rows)

        def output_of_one(parts, example):
            inputs, (_, position) = _trees.mapped(lambda part: part[None], example)
            outputs = vectors.outputs(parts, inputs)
            token = replace(self._tokens, rows=torch.zeros_like(position), positions=position)
            return losses.outputs(outputs, token).reshape(-1)[number]

        return vectors.joined(
            _torch_products.rows_together(vectors, output_of_one, point, self._batch(chunk))
        )
