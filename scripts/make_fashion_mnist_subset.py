"""Makes the FashionMNIST subset of the package from the official files.

    python scripts/make_fashion_mnist_subset.py FOLDER [OUTPUT]

FOLDER holds the four official IDX files, gzipped or not; their checksums are verified. OUTPUT is
aniso/datasets/data/fashion_mnist_subset.npz in this repository if not given. Running it twice gives
the same bytes: the archive stores no time, no user and no platform.
"""

import argparse
import zipfile
from pathlib import Path

import numpy as np

from aniso import datasets
from aniso.runs import files

NUM_TRAIN = 1200
NUM_TEST = 2000
DEFAULT_OUTPUT = (
    Path(__file__).parents[1] / "aniso" / "datasets" / "data" / "fashion_mnist_subset.npz"
)


def write_npz(stream, arrays):
    """Compressed npz archive that depends on the arrays alone."""
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__ and __doc__.splitlines()[0])
    parser.add_argument("folder", help="folder with the four official IDX files")
    parser.add_argument("output", nargs="?", default=DEFAULT_OUTPUT, help="npz file to write")
    arguments = parser.parse_args()
    whole = datasets.fashion_mnist(subset=False, data_dir=arguments.folder)
    with files.atomic_writer(arguments.output, "wb") as stream:
        write_npz(
            stream,
            {
                "train_images": whole.train_images[:NUM_TRAIN],
                "train_labels": whole.train_labels[:NUM_TRAIN].astype(np.uint8),
                "test_images": whole.test_images[:NUM_TEST],
                "test_labels": whole.test_labels[:NUM_TEST].astype(np.uint8),
            },
        )
    print(f"{arguments.output}: {Path(arguments.output).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
