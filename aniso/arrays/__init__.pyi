from . import functions as functions
from . import kernel_cache as kernel_cache
from . import places as places
from . import transfer as transfer
from .kernel_cache import njit as njit
from .places import device as device
from .places import namespace as namespace
