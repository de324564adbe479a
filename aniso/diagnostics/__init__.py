"""What a researcher asks of a problem at one theta: readings with errors, sources and words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["diagnosis", "frames", "page", "plots", "reading", "table"],
    submod_attrs={
        "diagnosis": ["Diagnosis"],
        "reading": ["Reading"],
    },
)
