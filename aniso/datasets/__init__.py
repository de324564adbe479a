"""FashionMNIST, CIFAR-10 and SVHN: images in the package, and the official archives.

>>> from aniso import datasets
>>> datasets.fashion_mnist().train_images.shape
(1200, 28, 28)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["formats", "official", "sets", "transformations"],
    submod_attrs={"sets": ["Dataset", "cifar10", "fashion_mnist", "svhn"]},
)
