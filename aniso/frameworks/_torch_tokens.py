"""Tokens of sequences as the examples of a PyTorch problem: their losses, found by values."""

from dataclasses import dataclass, replace

import torch

from aniso import checks
from aniso.frameworks import _torch_data, _torch_losses, _trees

_NUM_TOKENS = 8
FORM = (
    "expected outputs (N, T, ...) or (N, C, T), targets (N, T, ...) that are shifted already, -100 "
    "where a token does not count, and a loss that gives one number for each token, their mean or "
    "their sum"
)


@dataclass(frozen=True)
class Tokens:
    """The tokens that count, each by its sequence and its position there.

    Attributes
    ----------
    length : int
        T, the number of positions of a sequence, ignored ones included.
    rows, positions : tensor of int, shape (N,)
        Sequence and position of each token.

    Examples
    --------
    >>> targets = torch.tensor([[1, 2, -100], [0, -100, -100]])
    >>> Tokens.of_targets(torch.nn.CrossEntropyLoss(), targets).positions
    tensor([0, 1, 0])
    """

    length: int
    rows: torch.Tensor
    positions: torch.Tensor

    @classmethod
    def of_targets(cls, loss, targets):
        """Return the tokens whose target is not ignored, in the order of the sequences.

        Raises
        ------
        InputError
            If the targets have no axis of tokens, or all are ignored.
        """
        labels = targets.get("labels") if isinstance(targets, dict) else targets
        if not isinstance(labels, torch.Tensor) or labels.ndim < 2:
            found = f"of shape {tuple(labels.shape)}" if hasattr(labels, "shape") else "nested"
            if isinstance(targets, dict) and labels is None:
                found = f"a dict with {', '.join(map(repr, targets))}"
            raise checks.InputError(
                f"example='token', and targets are {found}; expected a tensor (N, T, ...), or a "
                "dict that has it as 'labels'"
            )
        counts = torch.ones(labels.shape[:2], dtype=torch.bool)
        if not labels.is_floating_point() and labels.ndim == 2:
            counts = labels != _torch_losses.ignored(loss)
        rows, positions = counts.nonzero(as_tuple=True)
        if not len(rows):
            raise checks.InputError("every target is ignored; expected at least one that counts")
        return cls(labels.shape[1], rows, positions)

    def __len__(self):
        return len(self.rows)

    def taken(self, index):
        """Return the tokens of an index, a slice or a tensor of integers."""
        return replace(self, rows=self.rows[index], positions=self.positions[index])

    def moved(self, device):
        """Return the same on a device."""
        return replace(self, rows=self.rows.to(device), positions=self.positions.to(device))

    def of_some_sequences(self, number):
        """Return some of the sequences that have tokens, and their tokens within them."""
        sequences = _torch_data.spread(torch.unique(self.rows), number)
        return sequences, self.taken(torch.isin(self.rows, sequences)).within()[1]

    def of_sequences(self, sequences):
        """Return the tokens of some sequences (increasing), by their number among these."""
        inside = self.taken(torch.isin(self.rows, sequences))
        return replace(inside, rows=torch.searchsorted(sequences, inside.rows))

    def within(self):
        """Return the sequences that have these tokens, (n,), and the tokens within them."""
        sequences, rows = torch.unique(self.rows, return_inverse=True)
        return sequences, replace(self, rows=rows)

    def of_tree(self, tree):
        """Return nested data of sequences as those of sequences with one token each."""

        def own(part):
            if part.ndim >= 2 and part.shape[1] == self.length:
                return part[self.rows, self.positions][:, None]
            return part[self.rows]

        return _trees.mapped(own, tree)

    def alone(self, inputs, targets):
        """Return the batch with an entry for each token: its sequence, and its position."""
        inputs, targets = _torch_data.taken((inputs, targets), self.rows)
        return inputs, (targets, self.positions)

    def starts(self):
        """Return where the tokens of another sequence begin, and their number, a list of int."""
        changes = (self.rows[1:] != self.rows[:-1]).nonzero()[:, 0] + 1
        return [0, *changes.tolist(), len(self)]


@dataclass(frozen=True)
class TokenLosses:
    """The losses of single tokens, each as that of a sequence of one token.

    Attributes
    ----------
    losses : ExampleLosses
        Of sequences with one token.
    axis : {1, -1}
        Axis of the tokens in the outputs.
    length : int
        T.
    """

    losses: _torch_losses.ExampleLosses
    axis: int
    length: int

    @property
    def reduction(self):
        """Reduction of a batch by the given loss."""
        return self.losses.reduction

    @property
    def loss(self):
        """The given loss."""
        return self.losses.loss

    def with_loss(self, loss):
        """Return the same of the loss in another precision."""
        return replace(self, losses=self.losses.with_loss(loss))

    def __call__(self, outputs, targets):
        """Losses of a token of each sequence, (n,); targets are a pair (targets, positions)."""
        tree, positions = targets
        rows = torch.arange(len(positions), device=positions.device)
        return self.of_tokens(outputs, tree, Tokens(self.length, rows, positions))

    def of_tokens(self, outputs, targets, tokens):
        """Losses of tokens of these sequences, shape (number of tokens,)."""
        return self.losses(self.outputs(outputs, tokens), tokens.of_tree(targets))

    def outputs(self, outputs, tokens):
        """Outputs of tokens, each as those of a sequence of one token."""
        return outputs.movedim(self.axis, 1)[tokens.rows, tokens.positions].unsqueeze(self.axis)

    def total_weight(self, targets):
        """Sum of the weights of all tokens; targets are those of sequences of one token."""
        return self.losses.total_weight(targets)

    def weights_differ(self, targets):
        """Whether the tokens of a weighted mean have different weights."""
        return self.losses.weights_differ(targets)


def of_loss(loss, outputs, targets, tokens, tolerance, every):
    """Return the :class:`TokenLosses` of a loss, from its values on a few sequences.

    Parameters
    ----------
    loss : callable
        ``(outputs, targets) -> tensor``.
    outputs, targets : nested tensors
        Of a few sequences.
    tokens : Tokens
        Of these sequences.
    tolerance : float
        Relative error of the values.
    every : nested tensors
        Targets of all tokens, as those of sequences of one token.

    Returns
    -------
    TokenLosses

    Raises
    ------
    InputError
        If the loss of the sequences is not made of the losses of their tokens.
    """
    if not isinstance(outputs, torch.Tensor) or outputs.ndim < 2:
        kind = f"a {type(outputs).__name__}"
        shape = f"of shape {tuple(outputs.shape)}" if hasattr(outputs, "shape") else kind
        raise checks.InputError(f"example='token', and the outputs are {shape}; {FORM}")
    reasons = []
    for axis in dict.fromkeys((1, outputs.ndim - 1)):
        if outputs.shape[axis] != tokens.length:
            continue
        try:
            found = _of_axis(loss, axis, outputs, targets, tokens, tolerance, every)
            whole = loss(outputs, targets)
        except (checks.InputError, RuntimeError, ValueError, TypeError, IndexError) as error:
            reasons.append(str(error).partition(";")[0])
            continue
        if is_made_of(whole, found, outputs, targets, tokens, tolerance):
            return found
        reasons.append("the loss of a sequence is not made of the losses of its tokens")
    reason = reasons[0] if reasons else f"no axis of the outputs has {tokens.length} entries"
    raise checks.InputError(f"example='token', outputs {tuple(outputs.shape)}: {reason}; {FORM}")


def few(tokens):
    """Return some of the tokens, from the first to the last."""
    return tokens.taken(_torch_data.spread(torch.arange(len(tokens)), _NUM_TOKENS))


def _of_axis(loss, axis, outputs, targets, tokens, tolerance, every):
    counting = _torch_losses.that_count(loss, tokens.of_tree(targets))
    some = few(tokens.taken(counting.to(tokens.rows.device)))
    picked = outputs.movedim(axis, 1)[some.rows, some.positions].unsqueeze(axis)
    found = _torch_losses.of_loss(loss, picked, some.of_tree(targets), tolerance, every)
    return TokenLosses(found, axis, tokens.length)


def is_made_of(whole, found, outputs, targets, tokens, tolerance):
    """Whether the loss of whole sequences is made of the losses of their tokens."""
    each = found.of_tokens(outputs, targets, tokens)
    if found.reduction == "none":
        shape = (len(outputs), tokens.length)
        if whole.numel() != shape[0] * shape[1]:
            return False
        value, expected = whole.reshape(shape)[tokens.rows, tokens.positions], each
    else:
        total = 1.0 if found.reduction == "sum" else found.total_weight(tokens.of_tree(targets))
        value, expected = whole, each.sum() / total
    size = tolerance * float(each.abs().max())
    return value.shape == expected.shape and bool((value - expected).abs().max() <= 10 * size)
