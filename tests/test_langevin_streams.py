import math

import numba
import numpy as np
import pytest
import reference_langevin as reference
import scipy.stats
import seeds

from aniso import checks
from aniso.langevin._kernels import streams

FAST = not numba.config.DISABLE_JIT
SEED = seeds.integer("langevin_streams")
NUM_BLOCKS = 2000 if FAST else 4  # blocks of 2 x LANES normals


def panel_of_normals(seed, first_path, num_blocks=NUM_BLOCKS):
    """Normals of LANES paths, shape (2 num_blocks, LANES), one row per position in the stream."""
    out = np.empty((2 * num_blocks, streams.LANES))
    streams.fill_normals(np.uint64(seed), np.uint64(first_path), np.uint64(0), 2 * num_blocks, out)
    return out


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    # known answers published with the generator (Random123, kat_vectors)
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, expected):
    assert reference.philox(counter, key) == expected
    first, second = streams.philox(*(np.uint64(word) for word in (*counter, *key)))
    assert int(first) == (expected[0] << 32) | expected[1]
    assert int(second) == (expected[2] << 32) | expected[3]


def test_words_agree_with_integers_at_the_ends_of_the_counter():
    for path in (0, 3, 2**32, 2**64 - 1):
        for block in (0, 2**32 + 1, 2**60 - 1):
            for purpose in (0, 1, 2):
                got = streams.words(*(np.uint64(n) for n in (SEED, path, block, purpose)))
                assert tuple(int(w) for w in got) == reference.words(SEED, path, block, purpose)


def test_normals_agree_with_the_library_functions():
    for path in range(20):
        got = streams.normals(SEED, path, 40)
        expected = [reference.normal_pair(SEED, path, block) for block in range(20)]
        # the polynomials are good to 1e-15 relative in radius and angle
        np.testing.assert_allclose(got, np.ravel(expected), rtol=0, atol=2e-14)


def test_a_panel_is_its_paths_side_by_side():
    panel = panel_of_normals(SEED, 1000, 3)
    for lane in (0, 17, streams.LANES - 1):
        np.testing.assert_array_equal(panel[:, lane], streams.normals(SEED, 1000 + lane, 6))


def moment_scores(sample):
    """z scores of the first four moments of what should be standard normals."""
    n = sample.size
    errors = np.sqrt(np.array([1.0, 2.0, 15.0, 96.0]) / n)  # Var z^k, k = 1..4
    moments = np.array([np.mean(sample**k) for k in range(1, 5)])
    return (moments - [0.0, 1.0, 0.0, 3.0]) / errors


def test_moments_are_those_of_a_normal_and_a_wrong_scale_is_seen():
    sample = panel_of_normals(SEED, 0)
    assert np.abs(moment_scores(sample)).max() < 4.5  # four scores, a few in 1e5 beyond
    if FAST:
        assert np.abs(moment_scores(1.02 * sample)).max() > 4.5


def test_kolmogorov_smirnov_with_fixed_size():
    sample = panel_of_normals(SEED, 10**9).ravel()
    distance = scipy.stats.kstest(sample, "norm").statistic
    # Dvoretzky-Kiefer-Wolfowitz with Massart's constant: exceeded with probability below 1e-5
    limit = math.sqrt(math.log(2e5) / (2 * sample.size))
    assert distance < limit
    if FAST:
        assert scipy.stats.kstest(sample + 0.02, "norm").statistic > limit


@pytest.mark.skipif(not FAST, reason="needs more normals than plain Python draws in a second")
def test_paths_steps_and_seeds_are_independent():
    first = panel_of_normals(SEED, 0)
    second = panel_of_normals(SEED + 1, 0)
    n = len(first)
    between_paths = np.corrcoef(first.T)[np.triu_indices(streams.LANES, 1)]
    between_seeds = [np.corrcoef(a, b)[0, 1] for a, b in zip(first.T, second.T, strict=True)]
    between_steps = [np.corrcoef(a[:-lag], a[lag:])[0, 1] for a in first.T for lag in (1, 2, 7)]
    squares = np.corrcoef((first**2).T)[np.triu_indices(streams.LANES, 1)]
    scores = np.concatenate([between_paths, between_seeds, between_steps, squares]) * math.sqrt(n)
    # about 4300 correlations: the largest of so many normals stays below 5.5 but once in 1e4
    assert np.abs(scores).max() < 5.5
    # planted: neighbouring paths that share a tenth of their variance
    shared = first[:, 0] + 0.3 * first[:, 1]
    assert abs(np.corrcoef(shared, first[:, 1])[0, 1]) * math.sqrt(n) > 5.5


def test_uniforms_fill_the_unit_interval():
    values = [
        streams.unit_uniform(
            np.uint64(streams.words(*(np.uint64(n) for n in (SEED, path, 1, 1)))[0])
        )
        for path in range(2000)
    ]
    assert 0 <= min(values) <= max(values) < 1
    assert scipy.stats.kstest(values, "uniform").statistic < math.sqrt(math.log(2e5) / 4000)
    assert streams.unit_uniform(np.uint64(0)) == 0.0
    assert streams.unit_uniform(np.uint64(2**64 - 1)) == 1 - 2.0**-52


def test_normals_refuse_what_has_no_stream():
    with pytest.raises(checks.InputError, match="path=-1"):
        streams.normals(1, -1, 2)
    with pytest.raises(checks.InputError, match="num_normals=0"):
        streams.normals(1, 0, 0)
    with pytest.raises(checks.InputError, match=r"seed=1\.5"):
        streams.normals(1.5, 0, 1)
