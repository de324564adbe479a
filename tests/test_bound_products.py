"""The parts of a plan by themselves: products bound to memory, shared tasks, writers of rows."""

import threading

import numpy as np
import pytest
import seeds

from aniso import threads
from aniso.networks.matrix_products import BoundProduct
from aniso.networks.plans import row_kernels


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("left_rows", [True, False])
@pytest.mark.parametrize("right_rows", [True, False])
def test_a_bound_product_is_the_product_of_any_layout(dtype, left_rows, right_rows):
    rng = seeds.generator()
    left = rng.normal(size=(4, 6)).astype(dtype)[:, 1:]
    right = rng.normal(size=(5, 9)).astype(dtype)[:, 2:]
    left = left if left_rows else np.asfortranarray(left)
    right = right if right_rows else np.asfortranarray(right)
    whole = np.zeros((4, 10), dtype)
    result = whole[:, 1:8]
    product = BoundProduct(result, left, right)
    product()
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(result, left @ right, rtol=0, atol=tolerance)
    product.accumulate(1.0)
    product()
    np.testing.assert_allclose(result, 2 * (left @ right), rtol=0, atol=tolerance)
    assert not whole[:, 0].any()
    assert not whole[:, 8:].any()
    other = np.full((4, 5), 2.0, dtype) if left_rows else np.full((5, 4), 2.0, dtype).T
    moved = BoundProduct(result, other, right)
    moved.left.value = np.asarray(other).ctypes.data
    moved()
    np.testing.assert_allclose(result, other @ right, rtol=0, atol=tolerance)


def test_operands_that_blas_cannot_read_are_refused():
    square = np.ones((4, 4))
    for arrays in (
        (square[::2, ::2], square[:2, :2], square[:2, :2]),
        (square[:2, :2], square[::2, ::2], square[:2, :2]),
        (square[:2, :2], square[:2, :2], np.ones((2, 2), np.float32)),
    ):
        with pytest.raises(ValueError, match="one dtype and contiguous"):
            BoundProduct(*arrays)


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_every_shared_task_runs_once(num_threads):
    done = []
    threads.Workers(num_threads).share([lambda i=i: done.append(i) for i in range(40)])
    assert sorted(done) == list(range(40))


def test_shared_tasks_end_while_the_threads_are_busy():
    workers, release = threads.Workers(2), threading.Event()
    waiting = threading.Thread(target=lambda: workers.map(lambda _: release.wait(20), [0, 1]))
    waiting.start()
    done = []
    workers.share([lambda i=i: done.append(i) for i in range(3)])
    assert sorted(done) == [0, 1, 2]
    release.set()
    waiting.join()


def test_the_error_of_a_shared_task_arrives_and_the_rest_is_left_out():
    done, workers = [], threads.Workers(2)

    def fail():
        raise ArithmeticError("of a task")

    with pytest.raises(ArithmeticError, match="of a task"):
        workers.share([fail, *[lambda i=i: done.append(i) for i in range(1000)]])
    assert len(done) < 1000
    workers.share([lambda: done.append("again"), lambda: done.append("twice")])
    assert done[-1] in ("again", "twice")


@pytest.mark.needs_jit
@pytest.mark.parametrize("write", [row_kernels.write_rows, row_kernels.stream_rows])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_are_outer_products_at_every_alignment(dtype, write):
    rng, shapes = seeds.generator(), np.array([[3, 37], [2, 3], [1, 2]])
    packed = rng.normal(size=(5, shapes.sum())).astype(dtype)
    expected, place = [], 0
    for units, ins in shapes:
        inputs = packed[:, place : place + ins]
        deltas = packed[:, place + ins : place + ins + units]
        expected += [np.einsum("iu,ij->iuj", deltas, inputs).reshape(5, -1), deltas]
        place += units + ins
    expected = np.concatenate(expected, axis=1)
    for shift in range(17):
        memory = np.full(expected.size + 40, 7.0, dtype)
        out = memory[shift : shift + expected.size].reshape(expected.shape)
        write(out, packed, shapes)
        np.testing.assert_array_equal(out, expected)
        assert (memory[:shift] == 7).all()
        assert (memory[shift + expected.size :] == 7).all()
