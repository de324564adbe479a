"""Image sets in a user's .npz: how they are found, and everything that is wrong."""

import io
import zipfile

import numpy as np
import pytest
from image_cases import assert_is, flat_bytes, images_and_labels

from aniso import checks, datasets
from aniso.datasets import official as official_files


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    """No data but those that a test names."""
    monkeypatch.delenv(official_files.FOLDER_VARIABLE, raising=False)


def test_an_npz_is_read_by_its_path_its_folder_or_the_environment(rng, tmp_path, monkeypatch):
    train, test = images_and_labels(6, rng), images_and_labels(2, rng)
    path = tmp_path / "cifar10.npz"
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), (*train, *test), strict=True))
    np.savez(path, **arrays)
    assert_is(datasets.cifar10(path), train, test)
    assert_is(datasets.cifar10(tmp_path), train, test)
    assert_is(datasets.cifar10(path.rename(tmp_path / "mine.npz")), train, test)
    (tmp_path / "mine.npz").rename(path)
    monkeypatch.setenv(official_files.FOLDER_VARIABLE, str(tmp_path))
    found = datasets.cifar10()
    assert_is(found, train, test)
    assert "official" not in found.source
    with pytest.raises(checks.InputError, match=r"other\.npz': this file does not exist"):
        datasets.svhn(tmp_path / "other.npz")


def test_an_npz_serves_the_data_set_of_its_name(rng, tmp_path, monkeypatch):
    train, test = images_and_labels(6, rng), images_and_labels(2, rng)
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), (*train, *test), strict=True))
    path = tmp_path / "cifar10.npz"
    np.savez(path, **arrays)
    np.savez(tmp_path / "mine.npz", **arrays)
    missing = r"cifar10\.npz' is a file without the images of SVHN; expected .*, or svhn\.npz with"
    with pytest.raises(checks.InputError, match=f"data_dir='.*{missing}"):
        datasets.svhn(path)
    monkeypatch.setenv(official_files.FOLDER_VARIABLE, str(path))
    assert_is(datasets.cifar10(), train, test)
    with pytest.raises(checks.InputError, match=f"ANISO_DATA='.*{missing}"):
        datasets.svhn()
    with pytest.raises(checks.InputError, match=r"without the images of FashionMNIST; .*train-im"):
        datasets.fashion_mnist(subset=False)
    monkeypatch.setenv(official_files.FOLDER_VARIABLE, str(tmp_path / "mine.npz"))
    for load in (datasets.cifar10, datasets.svhn):  # it can't be both
        with pytest.raises(checks.InputError, match=r"mine\.npz' is a file without the images of"):
            load()


@pytest.mark.parametrize("side", [2, 16, 28, 64])
def test_users_images_have_any_size_that_can_be_pooled(rng, tmp_path, side):
    images = rng.integers(256, size=(4, side, 2 * side, 3), dtype=np.uint8)
    labels = np.arange(4)
    np.savez(tmp_path / "svhn.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert_is(datasets.svhn(tmp_path), (images, labels), (images, labels))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.zeros((6, 32, 32, 3))}, "x_train has dtype float64; expected uint8"),
        ({"x_train": np.zeros((6, 32), np.uint8)}, r"x_train has shape \(6, 32\); expected"),
        ({"x_test": np.zeros((0, 32, 32, 3), np.uint8)}, "x_test has no images"),
        ({"y_train": np.arange(5)}, r"y_train has shape \(5,\) and dtype int64; expected one"),
        ({"y_train": np.full(6, 10)}, "mine.npz: y_train has the label 10 at 0; expected 0 to 9"),
        ({"y_test": np.array([0, -1])}, "mine.npz: y_test has the label -1 at 1"),
        ({"x_test": np.zeros((2, 16, 16, 3), np.uint8)}, "expected the same"),
        ({"x_train": np.zeros((6, 0, 0, 3), np.uint8)}, "x_train has images of 0 x 0 pixels"),
        ({"x_train": np.zeros((6, 7, 5, 3), np.uint8)}, "x_train has images of 7 x 5 pixels"),
        ({"x_train": np.zeros((6, 32, 32), np.uint8)}, r"\(6, 32, 32\); .* colour .* np\.repeat"),
        ({"x_test": np.zeros((2, 32, 32, 1), np.uint8)}, r"x_test has shape \(2, 32, 32, 1\)"),
        ({"y_test": None}, "has no y_test"),
    ],
)
def test_wrong_arrays_are_refused(rng, tmp_path, change, message):
    (train, labels), (test, test_labels) = images_and_labels(6, rng), images_and_labels(2, rng)
    arrays = {"x_train": train, "y_train": labels, "x_test": test, "y_test": test_labels} | change
    path = tmp_path / "mine.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(checks.InputError, match=message):
        datasets.cifar10(path)


def zip_of(content):
    """A zip whose four members hold all the same."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy_of(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def compressed_and_flipped():
    stream = io.BytesIO()
    np.savez_compressed(stream, x_train=np.frombuffer(flat_bytes(10_000), np.uint8))
    content = bytearray(stream.getvalue())
    content[500:550] = bytes(255 - byte for byte in content[500:550])
    return bytes(content)


def marked(content, flags=0, method=0):
    """A zip that claims to be encrypted, or compressed in an unknown way."""
    content = bytearray(content)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        begin = content.find(signature)
        while begin >= 0:
            content[begin + place] |= flags
            content[begin + place + 2] |= method
            begin = content.find(signature, begin + 1)
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 and nothing more",
        compressed_and_flipped(),
        npy_of(np.zeros(3)),
        zip_of(npy_of(np.array([{}]))),
        zip_of(npy_of(np.zeros(3)).replace(b"{'descr'", b"{'descr\n", 1)),
        zip_of(npy_of(np.zeros(3)).replace(b"(3,)", b"(3,(", 1)),
        zip_of(npy_of(np.zeros(3))[:20]),
        marked(zip_of(npy_of(np.zeros(3))), flags=1),
        marked(zip_of(npy_of(np.zeros(3))), method=99),
    ],
)
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(checks.InputError, match=r"mine\.npz' is no readable \.npz") as refused:
        datasets.svhn(path)
    told = str(refused.value)
    assert "expected an archive of x_train, y_train, x_test, y_test, arrays of numbers" in told
    assert "write it anew by numpy.savez" in told
    assert "allow_pickle" not in told


def test_members_that_are_no_arrays_are_refused(tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes(zip_of(b"plain text"))
    with pytest.raises(checks.InputError, match=r"mine\.npz: x_train has dtype"):
        datasets.svhn(path)


@pytest.mark.parametrize("value", [3, b"images", ["images"]])
def test_what_is_no_path_is_refused(value):
    for load in (datasets.cifar10, datasets.svhn):
        with pytest.raises(checks.InputError, match=r"data_dir=.* is no path; expected a folder"):
            load(value)


def test_a_folder_that_does_not_exist_is_told_with_who_named_it(tmp_path, monkeypatch):
    absent = tmp_path / "absent"
    told = r"='.*absent': this folder does not exist, and the"
    for load in (datasets.cifar10, datasets.svhn):
        with pytest.raises(checks.InputError, match=f"data_dir{told} argument data_dir"):
            load(absent)
    with pytest.raises(checks.InputError, match=f"data_dir{told} argument data_dir"):
        datasets.fashion_mnist(subset=False, data_dir=absent)
    monkeypatch.setenv(official_files.FOLDER_VARIABLE, str(absent))
    with pytest.raises(checks.InputError, match=f"ANISO_DATA{told} environment variable"):
        datasets.cifar10()
    with pytest.raises(checks.InputError, match="can't be read: File name too long"):
        datasets.cifar10("x" * 5000)


def test_an_empty_path_is_not_the_working_directory(rng, tmp_path, monkeypatch):
    train, test = images_and_labels(6, rng), images_and_labels(2, rng)
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), (*train, *test), strict=True))
    np.savez(tmp_path / "cifar10.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(checks.InputError, match="data_dir=''; expected a folder of images, or"):
        datasets.cifar10("")
    assert_is(datasets.cifar10("."), train, test)


def test_a_folder_in_the_place_of_an_npz_is_refused(tmp_path):
    folder = tmp_path / "cifar10.npz"
    folder.mkdir()
    for data_dir in (folder, tmp_path):
        with pytest.raises(checks.InputError, match=r"cifar10\.npz' is a folder; expected an .npz"):
            datasets.cifar10(data_dir)


def test_download_is_true_or_false_wherever_the_images_are(rng, tmp_path):
    train, test = images_and_labels(6, rng), images_and_labels(2, rng)
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), (*train, *test), strict=True))
    for name in ("cifar10", "svhn"):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    for load in (datasets.cifar10, datasets.svhn):
        with pytest.raises(checks.InputError, match="download='no'; expected True or False"):
            load(tmp_path, download="no")
    for subset in (True, False):
        with pytest.raises(checks.InputError, match="download='no'"):
            datasets.fashion_mnist(subset, download="no")
    with pytest.raises(checks.InputError, match="download='no'"):
        official_files.contents(official_files.SVHN, tmp_path, download="no")
