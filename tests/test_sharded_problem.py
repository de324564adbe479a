"""A problem over the processes of torch.distributed: against one process, and with failures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import rank_programs  # noqa: E402

from aniso import checks, frameworks  # noqa: E402
from aniso.frameworks import _torch_collectives  # noqa: E402

TESTS = Path(__file__).parent
ENVIRONMENT = os.environ | {
    "PYTHONPATH": f"{TESTS}:{TESTS.parent}",
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
}
pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not torch.distributed.is_gloo_available(),
    reason="the system has no fork, or PyTorch no gloo",
)


def program(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.fixture(scope="module", params=[2, 4])
def ranks(request, tmp_path_factory):
    """Number of ranks, the folder of what they found, and the last one killed at the end."""
    size, folder = request.param, tmp_path_factory.mktemp("ranks")
    names = "agree,diagnose,fail,keep,state,lose" if size == 2 else "agree,lose"
    ended = program(TESTS / "rank_programs.py", names, folder, size)
    assert ended.returncode == 0, ended.stderr
    codes = json.loads(ended.stdout)
    assert codes == [3] * (size - 1) + [-9], ended.stderr
    return size, folder


@pytest.fixture(scope="module")
def expected():
    """The same quantities by one process with all examples."""
    found = rank_programs.quantities(rank_programs.full_problem(rank_programs.KIND))
    weighted = rank_programs.full_problem(rank_programs.KIND, loss=rank_programs.weighted_loss())
    found["weighted losses"] = weighted.losses(weighted.initial_theta)
    found["weights differ"] = 1.0
    return found


def test_many_processes_equal_one(ranks, expected):
    size, folder = ranks
    for rank in range(size):
        with np.load(folder / f"found {rank}.npz") as found:
            assert set(found.files) == set(expected)
            for name, value in expected.items():
                scale = np.abs(value).max()
                # pairs to the tolerance that they were asked for
                tolerance = 1e-7 if "eigen" in name or name == "projectors" else 1e-12
                np.testing.assert_allclose(
                    found[name], value, atol=tolerance * scale, rtol=0, err_msg=name
                )


def test_running_statistics_are_those_of_all_ranks_or_refused(ranks):
    size, folder = ranks
    if size != 2:
        return
    for rank in range(size):
        told = json.loads((folder / f"state {rank}.json").read_text())
        now, whole, before = told["of all"]
        assert now == pytest.approx(whole, rel=1e-12) != before
        assert told["without"][0] == pytest.approx(told["without"][1], rel=1e-12)
        assert told["without"][0] != pytest.approx(now, rel=1e-3)
        assert "differ between the ranks" in told["unlike"]


def test_a_diagnosis_is_that_of_one_process(ranks):
    size, folder = ranks
    if size != 2:
        return
    expected = rank_programs.readings(rank_programs.full_problem(rank_programs.KIND))
    assert "trace_ratio" in expected
    with (
        np.load(folder / "diagnosed 0.npz") as first,
        np.load(folder / "diagnosed 1.npz") as second,
    ):
        assert set(first.files) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
            if name == "refused":
                assert first[name].tolist() == value
            elif not name.endswith("_error"):
                np.testing.assert_allclose(first[name], value, rtol=1e-8, err_msg=name)


def test_every_rank_holds_the_same_bits(ranks):
    size, folder = ranks
    first = np.load(folder / "found 0.npz")
    for rank in range(1, size):
        with np.load(folder / f"found {rank}.npz") as found:
            for name in first.files:
                np.testing.assert_array_equal(found[name], first[name], err_msg=name)


def test_shares_of_unequal_size_are_weighted(expected):
    full = rank_programs.full_problem(rank_programs.KIND)
    theta = full.initial_theta
    shares = [full.subset(range(5)).gradient(theta), full.subset(range(5, 11)).gradient(theta)]
    right, wrong = np.average(shares, axis=0, weights=[5, 6]), np.mean(shares, axis=0)
    np.testing.assert_allclose(right, expected["gradient"], atol=1e-14)
    assert np.abs(wrong - expected["gradient"]).max() > 1e-3


def test_the_contract_holds_on_two_ranks(ranks):
    size, folder = ranks
    if size == 2:
        assert (folder / "kept 0").exists()
        assert (folder / "kept 1").exists()


def test_a_failure_on_one_rank_reaches_all(ranks):
    size, folder = ranks
    if size != 2:
        return
    first, second = (json.loads((folder / f"failed {rank}.json").read_text()) for rank in (0, 1))
    for told in (first, second):
        # a refusal is the same on all ranks, which go on
        assert told["a refusing share"] == "InputError: no gradient here (on rank 1)"
        assert "RankFailed: the ranks have different arguments" in told["other vectors"]
        assert "same seed on every rank" in told["other vectors"]
        assert "compute different things: rank 0: ['gradient'" in told["another call"]
        assert told["of the first rank"] == "told by 0"
    assert first["a broken share"] == (
        "RankFailed: gradient failed on rank 1: ZeroDivisionError: no gradient here"
    )
    assert second["a broken share"] == "ZeroDivisionError: no gradient here"
    assert first["a broken first rank"] == "ZeroDivisionError: no gradient here"
    assert second["a broken first rank"] == "RankFailed: rank 0: " + first["a broken first rank"]
    # theta that differs by rounding is the first rank's everywhere
    assert len(first["other rounding"]) > 1000
    assert first["other rounding"] == second["other rounding"]


def test_a_killed_rank_ends_all_within_the_timeout(ranks):
    size, folder = ranks
    assert (folder / f"begun {size - 1}").exists()
    for rank in range(size - 1):
        told = json.loads((folder / f"told {rank}.json").read_text())
        assert told["error"].startswith(f"rank {rank} of {size} lost another rank in ")
        assert "start the program again" in told["error"]
        assert ".cc" not in told["error"]
        assert told["seconds"] < rank_programs.TIMEOUT_S + 5


def test_a_run_whose_rank_was_killed_goes_on_by_torchrun(ranks):
    size, folder = ranks
    if size != 2:
        return
    ended = program(
        *("-m", "torch.distributed.run", "--nproc-per-node", 2),
        *("--master-addr", "127.0.0.1", "--master-port", rank_programs.free_port()),
        *(TESTS / "rank_programs.py", "go on", folder),
    )
    assert ended.returncode == 0, ended.stderr
    problem = rank_programs.full_problem(rank_programs.KIND)
    theta = problem.initial_theta
    alone = [
        rank_programs.measure(
            problem, theta, rng=np.random.default_rng([7, step]), learning_rate=None, optimizer=None
        )["alignment"]
        for step in range(4)
    ]
    expected = [[each.value for each in alone], [each.standard_error for each in alone]]
    for rank in (0, 1):
        with np.load(folder / f"went on {rank}.npz") as found:
            assert found["begun_with"] == 2
            # two calls before the death, two afterwards
            np.testing.assert_array_equal(found["calls"], [1, 2, 1, 2])
            np.testing.assert_allclose(found["alignment"], expected, rtol=1e-10)


def test_checksums_of_long_arrays_see_order_signs_and_single_bits(rng):
    signs = np.sign(rng.standard_normal(50_000))
    moved, flipped, last = np.roll(signs, 1), signs.copy(), signs.copy()
    flipped[5] *= -1
    last[-1] = np.nextafter(last[-1], 2)
    checksum = _torch_collectives._checksum
    assert checksum(signs) == checksum(signs.copy())
    for other in (moved, flipped, last, signs[:-1], signs.astype(np.float32)):
        assert checksum(np.ascontiguousarray(other)) != checksum(signs)


def test_without_a_group_it_is_refused():
    problem = rank_programs.full_problem("perceptron", num_examples=3)
    with pytest.raises(checks.InputError, match="torchrun"):
        frameworks.sharded(problem)
    with pytest.raises(checks.InputError, match="torchrun"):
        frameworks.own_examples(3)
    with pytest.raises(checks.InputError, match="problem is of type"):
        frameworks.sharded(np.ones(3))
