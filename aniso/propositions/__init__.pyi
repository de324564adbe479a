from aniso.propositions.settings import Settings, Task

from .deep_alignment import AlignmentBound as AlignmentBound
from .deep_alignment import deep_alignment_bound as deep_alignment_bound
from .fisher_order import FisherOrder as FisherOrder
from .fisher_order import OrderConstants as OrderConstants
from .fisher_order import fisher_gauss_newton_order as fisher_gauss_newton_order
from .fisher_order import order_constants as order_constants
GROUPS: dict[str, str]
ON_REQUEST: tuple[str, ...]

def tasks(group: str, settings: Settings) -> list[Task]: ...

def title(group: str) -> str: ...

def legend(group: str) -> dict[str, str]: ...
