"""What a researcher asks of a problem at one theta: readings with errors, sources and words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["checkpoints", "diagnosis", "monitor", "plots_of_runs", "reading", "run_record"],
    submod_attrs={
        "_step_store": ["OtherTheta"],
        "checkpoints": ["CheckpointsFailed", "measure_checkpoints"],
        "diagnosis": ["Diagnosis"],
        "monitor": ["Monitor"],
        "reading": ["Reading"],
        "run_record": ["RunRecord", "Series", "read_record"],
    },
)
