"""The callback of Lightning; :func:`aniso.diagnostics.lightning_callback` makes it."""

from lightning.pytorch import Callback


class LightningMonitor(Callback):
    """A callback that records steps of a training.

    Parameters
    ----------
    recorder : Recorder
    """

    def __init__(self, recorder):
        self._recorder = recorder

    @property
    def monitor(self):
        """The monitor, with all that was measured."""
        return self._recorder.monitor

    def on_train_start(self, trainer, pl_module):  # noqa: ARG002
        """Refuse a module without the model of the problem."""
        self._recorder.start(pl_module)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):  # noqa: ARG002
        """Measure a step before it is made."""
        self._record(trainer, pl_module)

    def on_train_end(self, trainer, pl_module):
        """Measure the end of the training, if it is due."""
        self._record(trainer, pl_module)

    def _record(self, trainer, module):
        self._recorder.record(
            trainer.global_step, module, trainer.optimizers, is_first=trainer.is_global_zero
        )
