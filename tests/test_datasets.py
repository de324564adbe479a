"""The subset is the official images; the transformations agree with results by hand."""

import dataclasses
import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import seeds
from tolerances import assert_equal_up_to_rounding

from aniso import checks, datasets, memory
from aniso.datasets import official as official_files
from aniso.datasets import sets, transformations

SUBSET_SCRIPT = Path(__file__).parents[1] / "scripts" / "make_fashion_mnist_subset.py"
SUBSET_FILE = Path(datasets.__file__).parent / "data" / "fashion_mnist_subset.npz"


@pytest.fixture(scope="module")
def subset():
    return datasets.fashion_mnist()


@pytest.fixture
def official_folder():
    folder = os.environ.get(official_files.FOLDER_VARIABLE)
    if not folder:
        pytest.skip(f"{official_files.FOLDER_VARIABLE} names no folder with the official files")
    return folder


def test_subset_has_the_stated_shapes_and_types(subset):
    assert subset.name == "FashionMNIST"
    assert subset.train_images.shape == (1200, 28, 28)
    assert subset.test_images.shape == (2000, 28, 28)
    assert subset.train_images.dtype == subset.test_images.dtype == np.uint8
    assert subset.train_labels.dtype == subset.test_labels.dtype == np.int64
    assert subset.train_labels.shape == (1200,)
    assert subset.test_labels.shape == (2000,)


def test_subset_is_a_fact_that_nobody_can_change(subset):
    with pytest.raises(ValueError, match="read-only"):
        subset.train_labels[0] = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        subset.name = "mine"


def test_subset_begins_as_the_official_set_begins(subset):
    # The first ten labels of the official training and test sets, published many times over.
    np.testing.assert_array_equal(subset.train_labels[:10], [9, 0, 0, 3, 0, 2, 7, 2, 5, 5])
    np.testing.assert_array_equal(subset.test_labels[:10], [9, 2, 1, 1, 6, 1, 4, 6, 5, 7])
    assert set(subset.train_labels) == set(subset.test_labels) == set(range(10))


def test_subset_has_the_checksum_of_the_verified_files(subset):
    digest = hashlib.sha256()
    for array in (subset.train_images, subset.train_labels, subset.test_images, subset.test_labels):
        digest.update(array.astype(np.uint8).tobytes())
    assert digest.hexdigest() == "10d9722617675db15c0bb30304271dc8d09802ed2d1939311263084875551c12"


def test_subset_is_derived_anew_from_the_official_files(official_folder, tmp_path):
    outputs = [tmp_path / "once.npz", tmp_path / "twice.npz"]
    for output in outputs:
        subprocess.run(
            [sys.executable, SUBSET_SCRIPT, official_folder, output],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    once, twice = (output.read_bytes() for output in outputs)
    assert once == twice
    # Another implementation of deflate may pack differently, hence arrays and not bytes.
    with np.load(outputs[0]) as made, np.load(SUBSET_FILE) as shipped:
        assert set(made) == set(shipped)
        for name in made:
            np.testing.assert_array_equal(made[name], shipped[name])


def test_whole_set_continues_the_subset(subset, official_folder):
    whole = datasets.fashion_mnist(subset=False, data_dir=official_folder)
    assert whole.train_images.shape == (60_000, 28, 28)
    assert whole.test_images.shape == (10_000, 28, 28)
    np.testing.assert_array_equal(whole.train_images[:1200], subset.train_images)
    np.testing.assert_array_equal(whole.test_images[:2000], subset.test_images)
    np.testing.assert_array_equal(whole.train_labels[:1200], subset.train_labels)
    np.testing.assert_array_equal(whole.test_labels[:2000], subset.test_labels)
    np.testing.assert_array_equal(np.bincount(whole.train_labels), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(whole.test_labels), [1000] * 10)


def test_idx_files_become_arrays(tmp_path, monkeypatch, rng):
    """Small files in the official format, read through the public door."""
    arrays = [
        rng.integers(256, size=shape, dtype=np.uint8) for shape in [(5, 28, 28), 5, (3, 28, 28), 3]
    ]
    members = []
    for official, array in zip(sets.FASHION_MNIST.files, arrays, strict=True):
        magic = 2048 + array.ndim
        content = np.array([magic, *array.shape], dtype=">u4").tobytes() + array.tobytes()
        checksum = hashlib.sha256(content).hexdigest()
        members.append(dataclasses.replace(official, num_bytes=len(content), sha256=checksum))
        (tmp_path / f"{official.name}.gz").write_bytes(gzip.compress(content))
    small = dataclasses.replace(sets.FASHION_MNIST, files=tuple(members))
    monkeypatch.setattr(sets, "FASHION_MNIST", small)
    read = datasets.fashion_mnist(subset=False, data_dir=tmp_path)
    found = [read.train_images, read.train_labels, read.test_images, read.test_labels]
    for array, expected in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert not array.flags.writeable


def test_a_folder_for_the_subset_is_refused(tmp_path):
    with pytest.raises(checks.InputError, match="subset=False"):
        datasets.fashion_mnist(data_dir=tmp_path)


def test_mirrors_are_https_and_the_checksums_differ():
    assert all(mirror.startswith("https://") for mirror in sets.FASHION_MNIST.mirrors)
    sums = [sum_ for file in sets.FASHION_MNIST.files for sum_ in (file.sha256, file.gz_sha256)]
    assert len(set(sums)) == 8
    assert all(len(bytes.fromhex(checksum)) == 32 for checksum in sums)


def test_pair_keeps_order_and_relabels(subset):
    images, labels = transformations.pair(subset.train_images, subset.train_labels, 9, 2)
    expected = [i for i, label in enumerate(subset.train_labels) if label in (9, 2)]
    np.testing.assert_array_equal(images, subset.train_images[expected])
    np.testing.assert_array_equal(labels, [int(subset.train_labels[i] == 2) for i in expected])
    swapped_images, swapped = transformations.pair(subset.train_images, subset.train_labels, 2, 9)
    np.testing.assert_array_equal(swapped_images, images)
    np.testing.assert_array_equal(swapped, 1 - labels)


@pytest.mark.parametrize(
    ("labels", "first", "second", "message"),
    [
        ([0, 1], 0, 1, "shape"),
        ([0, 1, 2], 1, 1, "two different classes"),
        ([0, 1, 2], 0, 3, "second=3 is not among the labels; expected one of: 0, 1, 2"),
        ([0, 1, 2], 0.5, 1, "first=0.5; expected an integer"),
    ],
)
def test_pair_refuses(labels, first, second, message):
    with pytest.raises(checks.InputError, match=message):
        transformations.pair(np.zeros((3, 2, 2)), labels, first, second)
    with pytest.raises(checks.InputError, match=r"images has shape \(\)"):
        transformations.pair(3.0, labels, first, second)


def test_scaling_reaches_both_ends_exactly_and_is_linear_between():
    grey = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    scaled = transformations.scale_images(grey, -1, 1)
    assert scaled.shape == grey.shape
    assert scaled.dtype == np.float64
    assert scaled.min() == -1
    assert scaled.max() == 1
    # One product and one sum for each entry.
    assert_equal_up_to_rounding(scaled, 2 * (grey / 255.0) - 1, num_terms=2)


@pytest.mark.parametrize(
    ("images", "low", "high", "message"),
    [
        (np.zeros(3), -1, 1, "dtype float64; expected uint8"),
        (np.zeros(3, np.int64), -1, 1, "dtype int64; expected uint8"),
        (np.zeros(3, np.uint8), 1, -1, "expected low < high"),
        (np.zeros(3, np.uint8), 0, 0, "expected low < high"),
        (np.zeros(3, np.uint8), 0, np.inf, "high=inf"),
    ],
)
def test_scaling_refuses(images, low, high, message):
    with pytest.raises(checks.InputError, match=message):
        transformations.scale_images(images, low, high)


def test_scaling_refuses_what_would_not_fit():
    images = np.broadcast_to(np.uint8(0), (10**9, 28, 28))
    with pytest.raises(memory.AllocationRefused, match=r"6\.27 TB"):
        transformations.scale_images(images, -1, 1)


def test_pooling_takes_means_of_blocks(rng):
    images = rng.integers(256, size=(3, 6, 4)).astype(float)
    pooled = transformations.average_pool(images, 2)
    assert pooled.shape == (3, 3, 2)
    for i, row, column in np.ndindex(pooled.shape):
        block = [images[i, 2 * row + a, 2 * column + b] for a in (0, 1) for b in (0, 1)]
        assert pooled[i, row, column] == sum(block) / 4


def test_pooling_keeps_the_mean_of_an_image(subset):
    pooled = transformations.average_pool(subset.train_images[:20], 7)
    assert pooled.shape == (20, 4, 4)
    # 784 terms in each mean.
    means = subset.train_images[:20].mean(axis=(1, 2))
    assert_equal_up_to_rounding(pooled.mean(axis=(1, 2)), means, num_terms=784)


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((2, 6, 4), 4, "size=4; expected a divisor of the height 6 and the width 4"),
        ((2, 6, 4), 0, "size=0"),
        ((6, 4), 2, "shape"),
    ],
)
def test_pooling_refuses(shape, size, message):
    with pytest.raises(checks.InputError, match=message):
        transformations.average_pool(np.zeros(shape), size)


def test_random_labels_change_the_chosen_ones_only(subset, rng):
    indices = np.arange(1000, 1200)
    drawn = transformations.with_random_labels(subset.train_labels, indices, 10, rng)
    np.testing.assert_array_equal(drawn[:1000], subset.train_labels[:1000])
    assert set(drawn[1000:]) <= set(range(10))
    # All 200 alike has probability 10^-200.
    assert (drawn[1000:] != subset.train_labels[1000:]).any()
    assert not np.shares_memory(drawn, subset.train_labels)


def test_random_labels_are_uniform(rng):
    drawn = transformations.with_random_labels(np.zeros(100_000, int), np.arange(100_000), 10, rng)
    # Binomial standard deviation of each of the ten counts; |z| <= 4.6 for ten at once.
    deviation = np.sqrt(100_000 * 0.1 * 0.9)
    assert np.abs(np.bincount(drawn, minlength=10) - 10_000).max() <= 4.6 * deviation


def test_random_labels_repeat_with_the_seed():
    labels = np.zeros(50, int)
    first, second = (
        transformations.with_random_labels(labels, np.arange(50), 10, seeds.generator(3))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_no_index_changes_nothing(rng):
    np.testing.assert_array_equal(transformations.with_random_labels([2, 1], [], 3, rng), [2, 1])


@pytest.mark.parametrize(
    ("labels", "indices", "num_classes", "message"),
    [
        ([0, 5], [0], 2, "label 5"),
        ([0, 1], [2], 2, r"indices has 2; expected integers in 0\.\.1"),
        ([0, 1], [-1], 2, "indices has -1"),
        ([0, 1], [0, 0], 2, "repeated"),
        ([0, 1], [True, False], 2, "dtype bool"),
        ([0, 1], [[0]], 2, "shape"),
        ([0, 1], [0], 0, "num_classes=0"),
    ],
)
def test_random_labels_refuses(labels, indices, num_classes, message, rng):
    with pytest.raises(checks.InputError, match=message):
        transformations.with_random_labels(labels, indices, num_classes, rng)


def test_random_labels_need_a_generator():
    with pytest.raises(checks.InputError, match="rng=7"):
        transformations.with_random_labels([0, 1], [0], 2, 7)


def test_a_subset_that_is_neither_true_nor_false_is_refused():
    with pytest.raises(checks.InputError, match="subset='full'; expected True or False"):
        datasets.fashion_mnist("full")
