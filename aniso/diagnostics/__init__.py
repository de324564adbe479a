"""What a researcher asks of a problem at one theta: readings with errors, sources and words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "command",
        "diagnosis",
        "measurement",
        "optimizers",
        "planning",
        "reading",
        "registry",
    ],
    submod_attrs={
        "diagnosis": ["Diagnosis"],
        "measurement": ["measure"],
        "optimizers": ["OptimizerState"],
        "planning": ["Plan", "plan"],
        "registry": ["QUANTITIES", "Quantity"],
        "reading": ["Reading"],
    },
)
