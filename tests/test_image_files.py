"""CIFAR-10 and SVHN: official layouts made small, and everything that is wrong with them."""

import dataclasses
import gzip
import hashlib
import io
import os
import tarfile

import numpy as np
import pytest
from image_cases import assert_is, flat_bytes, images_and_labels
from scipy import io as scipy_io

from aniso import checks, datasets
from aniso.datasets import formats, sets
from aniso.datasets import official as official_files

BATCHES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    """No data but those that a test names."""
    monkeypatch.delenv(official_files.FOLDER_VARIABLE, raising=False)


def records(images, labels):
    rows = np.concatenate(
        [labels[:, None], images.transpose(0, 3, 1, 2).reshape(len(images), -1)], axis=1
    )
    return rows.astype(np.uint8).tobytes()


@pytest.fixture
def cifar(rng):
    """Six batches of three images: what they hold, and the bytes of each file."""
    parts = [images_and_labels(3, rng) for _ in BATCHES]
    return parts, {name: records(*part) for name, part in zip(BATCHES, parts, strict=True)}


def archive_of(contents):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def official(distribution, **contents):
    """The distribution with files of these contents instead of its own."""
    files = tuple(
        official_files.OfficialFile(file.name, len(content), hashlib.sha256(content).hexdigest())
        for file, content in zip(distribution.files, contents.values(), strict=True)
    )
    return dataclasses.replace(distribution, files=files)


def joined(parts):
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


# ---- CIFAR-10


def test_cifar_is_read_from_the_archive(cifar, tmp_path, monkeypatch):
    parts, contents = cifar
    archive = archive_of(contents)
    monkeypatch.setattr(sets, "CIFAR10", official(sets.CIFAR10, archive=archive))
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive)
    found = datasets.cifar10(tmp_path)
    assert_is(found, joined(parts[:-1]), parts[-1])
    assert "official" in found.source


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar_is_read_from_unpacked_files(cifar, tmp_path, monkeypatch, inner):
    parts, contents = cifar
    monkeypatch.setattr(sets, "CIFAR10_BATCH_BYTES", 3 * 3073)
    (tmp_path / inner).mkdir(exist_ok=True)
    for name, content in contents.items():
        (tmp_path / inner / name).write_bytes(content)
    found = datasets.cifar10(tmp_path)
    assert_is(found, joined(parts[:-1]), parts[-1])
    assert "lengths verified" in found.source
    (tmp_path / inner / BATCHES[2]).unlink()
    with pytest.raises(
        checks.InputError, match=r"data_dir=.* has no cifar-10-binary\.tar\.gz, .* or cifar10\.npz"
    ):
        datasets.cifar10(tmp_path)


def test_a_spoilt_archive_is_refused(cifar, tmp_path, monkeypatch):
    _, contents = cifar
    archive = archive_of(contents)
    monkeypatch.setattr(sets, "CIFAR10", official(sets.CIFAR10, archive=archive))
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(archive[:-100])
    with pytest.raises(checks.InputError, match="is not the official file"):
        datasets.cifar10(tmp_path)


@pytest.mark.parametrize("name", BATCHES)
def test_an_unpacked_file_that_was_cut_is_refused(cifar, tmp_path, monkeypatch, name):
    """Also where whole records are left."""
    assert sets.CIFAR10_BATCH_BYTES == 10_000 * (1 + 3 * 32 * 32)
    _, contents = cifar
    monkeypatch.setattr(sets, "CIFAR10_BATCH_BYTES", 3 * 3073)
    contents[name] = contents[name][:-3073]
    for batch, content in contents.items():
        (tmp_path / batch).write_bytes(content)
    with pytest.raises(checks.InputError, match=rf"{name}' has 6146 bytes; expected 9219, .* anew"):
        datasets.cifar10(tmp_path)


def test_what_is_no_archive_or_lacks_a_batch_is_refused(cifar):
    _, contents = cifar
    for spoilt in (archive_of(contents)[:2000], gzip.compress(b"no tar")):
        with pytest.raises(checks.InputError, match=r"it\.tar\.gz is damaged or cut off"):
            formats.cifar_batches(spoilt, BATCHES, "it.tar.gz")
    del contents[BATCHES[-1]]
    with pytest.raises(checks.InputError, match=r"it\.tar\.gz has no file test_batch\.bin"):
        formats.cifar_batches(archive_of(contents), BATCHES, "it.tar.gz")


def test_no_error_of_a_library_escapes_from_a_spoilt_archive():
    """Where the spoilt place still unpacks, the checksum of the archive is what tells."""
    # repeated, so that a spoilt place may refer to what is not there
    whole, messages = archive_of({name: flat_bytes(500) * 40 for name in BATCHES}), []
    for start in range(10, len(whole), 10):
        spoilt = whole[:start] + bytes(255 - byte for byte in whole[start : start + 50])
        try:
            formats.cifar_batches(spoilt + whole[start + 50 :], BATCHES, "it.tar.gz")
        except checks.InputError as error:
            messages.append(str(error))
    assert messages
    assert all(message.startswith("it.tar.gz ") for message in messages)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_file_is_refused(cifar, kind):
    _, contents = cifar
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in contents:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.type, member.linkname = kind, "nowhere"
            archive.addfile(member)
    with pytest.raises(checks.InputError, match=r"it\.tar\.gz has no file data_batch_1\.bin"):
        formats.cifar_batches(stream.getvalue(), BATCHES, "it.tar.gz")


def test_records_of_a_wrong_length_or_label_are_refused(rng):
    images, labels = images_and_labels(2, rng)
    with pytest.raises(checks.InputError, match=r"batch has 6145 bytes; expected .* 3073"):
        formats.cifar_images(records(images, labels)[:-1], "batch")
    labels[1] = 12
    with pytest.raises(checks.InputError, match=r"batch has the label 12 at 1; expected 0 to 9"):
        formats.cifar_images(records(images, labels), "batch")


# ---- SVHN


def matlab(images, labels, **more):
    stream = io.BytesIO()
    written = np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)
    arrays = {"X": images.transpose(1, 2, 3, 0), "y": written} | more
    scipy_io.savemat(stream, arrays, do_compression=True)
    return stream.getvalue()


@pytest.fixture
def svhn(rng, tmp_path, monkeypatch):
    """A folder with two small files, and what they hold."""
    parts = [images_and_labels(count, rng) for count in (12, 5)]
    parts[0][1][:2] = 0, 9
    contents = {name: matlab(*part) for name, part in zip(("train", "test"), parts, strict=True)}
    monkeypatch.setattr(sets, "SVHN", official(sets.SVHN, **contents))
    for name, content in contents.items():
        (tmp_path / f"{name}_32x32.mat").write_bytes(content)
    return tmp_path, parts


def test_svhn_is_read_and_ten_is_the_digit_zero(svhn):
    folder, (train, test) = svhn
    found = datasets.svhn(folder)
    assert_is(found, train, test)
    assert found.train_labels[:2].tolist() == [0, 9]


def test_the_papers_split_exchanges_the_files(svhn):
    folder, (train, test) = svhn
    found = datasets.svhn(folder, exchanged=True)
    assert_is(found, test, train)
    assert "exchanged" in found.source


def test_spoilt_matlab_files_are_refused(rng):
    images, labels = images_and_labels(4, rng)
    for content in (b"nothing", matlab(images, labels)[:300]):
        with pytest.raises(checks.InputError, match="file is no MATLAB file with X and y"):
            formats.svhn_images(content, "file")
    wrong = {"11": [3, 11, 5, 6], "0": [3, 0, 5, 6], "3.5": [3.5, 1, 1, 1], "'a'": list("abcd")}
    for shown, values in wrong.items():
        with pytest.raises(checks.InputError, match=rf"file has y .*{shown}.*; expected integers"):
            formats.svhn_images(matlab(images, labels, y=np.array([values]).T), "file")
    for shape in [(16, 16, 3, 4), (32, 32, 1, 4), (32, 32, 4), (0, 0, 3, 4)]:
        content = matlab(images, labels, X=np.zeros(shape, np.uint8))
        with pytest.raises(checks.InputError, match=r"file has X of shape .*; expected \(32, 32"):
            formats.svhn_images(content, "file")


# ---- the official files, where they are at hand


def official_or_skip(load):
    folder = os.environ.get("ANISO_OFFICIAL_IMAGES")
    if not folder:
        pytest.skip("ANISO_OFFICIAL_IMAGES names no folder with the official files")
    return load(folder)


def test_cifar_begins_as_published():
    found = official_or_skip(datasets.cifar10)
    assert found.train_labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert found.test_labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    mean = found.train_images.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, [125.30691805, 122.95039414, 113.86538318], rtol=1e-8)


def test_svhn_begins_as_published():
    found = official_or_skip(datasets.svhn)
    assert found.train_labels[:12].tolist() == [1, 9, 2, 3, 2, 5, 9, 3, 3, 1, 3, 3]
    assert np.bincount(found.test_labels).tolist() == [
        1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595,
    ]  # fmt: skip
