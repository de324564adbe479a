"""Mini-batches: with replacement, without, or by epochs, with a state that can be stored."""

import numpy as np


class BatchSampler:
    """Indices of mini-batches, one after the other.

    Parameters
    ----------
    num_examples, batch_size : int
        N and m.
    sampling : {"with_replacement", "without_replacement", "epochs"}
        Independent draws; distinct indices in each batch; or a new random order for each pass over
        the data.

    Attributes
    ----------
    order : ndarray of int, shape (N,)
        Order of the present epoch ("epochs" only; empty before the first and otherwise).
    position : int
        Number of indices of the order already drawn.

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
        if self.position + self.batch_size > len(self.order):
            self.order, self.position = rng.permutation(self.num_examples), 0
        batch = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        return batch
