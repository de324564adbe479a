"""Diagnoses of a problem at one theta: readings with errors, sources and words.

=============================  ====================================================
:func:`measure`                one diagnosis at one theta
:class:`Monitor`               the same numbers at chosen steps of a training
:func:`lightning_callback`     a monitor in a training of Lightning
:func:`trainer_callback`       a monitor in a training of transformers
:func:`measure_checkpoints`    diagnoses of many checkpoints, by any executor
:func:`read_record`            what a monitor has stored
=============================  ====================================================
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "callbacks",
        "checkpoints",
        "command",
        "diagnosis",
        "frames",
        "measurement",
        "monitor",
        "optimizers",
        "page",
        "planning",
        "plots",
        "plots_of_runs",
        "reading",
        "registry",
        "run_record",
        "table",
    ],
    submod_attrs={
        "_step_store": ["OtherTheta"],
        "callbacks": ["lightning_callback", "trainer_callback"],
        "checkpoints": ["CheckpointsFailed", "measure_checkpoints"],
        "diagnosis": ["Diagnosis"],
        "measurement": ["measure"],
        "monitor": ["Monitor"],
        "optimizers": ["OptimizerState"],
        "planning": ["Plan", "plan"],
        "registry": ["QUANTITIES", "Quantity"],
        "reading": ["Reading"],
        "run_record": ["RunRecord", "Series", "read_record"],
    },
)
