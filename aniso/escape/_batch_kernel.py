"""Compiled mean over a batch of examples that are linear in x, for many paths."""

from aniso.arrays import njit


@njit(nogil=True, error_model="numpy", fastmath={"contract"})
def add_batch_means(gradients, hessians, batches, states, out):
    """Add the mean over each path's batch of ``gradients[i] + hessians[i] @ x`` to `out` (n, k)."""
    num_paths, size = batches.shape
    dimension = states.shape[1]
    for path in range(num_paths):
        for draw in range(size):
            example = batches[path, draw]
            for row in range(dimension):
                total = gradients[example, row]
                for column in range(dimension):
                    total += hessians[example, row, column] * states[path, column]
                out[path, row] += total / size
