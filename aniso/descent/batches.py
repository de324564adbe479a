"""Mini-batches: drawn anew, by epochs or round one order, with a state that can be stored."""

import numpy as np


class BatchSampler:
    """Indices of mini-batches, one after the other.

    Parameters
    ----------
    num_examples, batch_size : int
        N and m.
    sampling : {"with_replacement", "without_replacement", "epochs", "cyclic"}
        Independent draws; distinct indices in each batch; a new random order for each pass over
        the data; or one random order, gone round again and again.

    Attributes
    ----------
    order : ndarray of int, shape (N,)
        Order of the present epoch, or of all epochs ("epochs" and "cyclic" only; empty before the
        first batch and otherwise).
    position : int
        Number of indices of the order already drawn.

    Notes
    -----
    "epochs" shuffles before every epoch, and leaves out the last ``N mod m`` examples of an order.
    "cyclic" shuffles once. A batch may hold the end and the beginning of the order, so that every
    N indices in a row hold each example once.

    Examples
    --------
    >>> sampler = BatchSampler(4, 2, "epochs")
    >>> rng = np.random.default_rng(0)
    >>> sorted([*sampler.draw(rng).tolist(), *sampler.draw(rng).tolist()])
    [0, 1, 2, 3]
    """

    def __init__(self, num_examples, batch_size, sampling):
        self.num_examples, self.batch_size, self.sampling = num_examples, batch_size, sampling
        self.order, self.position = np.zeros(0, dtype=np.int64), 0

    def draw(self, rng):
        """Draw the indices of the next batch, shape (m,)."""
        if self.sampling == "with_replacement":
            return rng.integers(self.num_examples, size=self.batch_size)
        if self.sampling == "without_replacement":
            return rng.choice(self.num_examples, self.batch_size, replace=False)
        if self.sampling == "cyclic":
            return self._next_in_the_circle(rng)
        if self.position + self.batch_size > len(self.order):
            self.order, self.position = rng.permutation(self.num_examples), 0
        batch = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        return batch

    def draw_several(self, rng, count):
        """Draw the indices of the next batches, shape (count, m): those of as many draws."""
        if self.sampling == "with_replacement":
            return rng.integers(self.num_examples, size=(count, self.batch_size))
        return np.stack([self.draw(rng) for _ in range(count)])

    def _next_in_the_circle(self, rng):
        if len(self.order) == 0:
            self.order = rng.permutation(self.num_examples)
        places = (self.position + np.arange(self.batch_size)) % self.num_examples
        self.position = (self.position + self.batch_size) % self.num_examples
        return self.order[places]
