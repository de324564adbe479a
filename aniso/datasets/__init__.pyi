from . import formats as formats
from . import official as official
from . import sets as sets
from . import transformations as transformations
from .sets import Dataset as Dataset
from .sets import cifar10 as cifar10
from .sets import fashion_mnist as fashion_mnist
from .sets import svhn as svhn
