"""The callback of transformers; :func:`aniso.diagnostics.trainer_callback` makes it."""

from transformers import TrainerCallback


class TrainerMonitor(TrainerCallback):
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

    def on_train_begin(self, args, state, control, model=None, **_):  # noqa: ARG002
        """Refuse a model that is not that of the problem."""
        self._recorder.start(model)

    def on_step_begin(self, args, state, control, model=None, optimizer=None, **_):  # noqa: ARG002
        """Measure a step before it is made."""
        self._record(state, model, optimizer)

    def on_train_end(self, args, state, control, model=None, optimizer=None, **_):  # noqa: ARG002
        """Measure the end of the training, if it is due."""
        self._record(state, model, optimizer)

    def _record(self, state, model, optimizer):
        optimizers = [] if optimizer is None else [optimizer]
        self._recorder.record(
            state.global_step, model, optimizers, is_first=state.is_world_process_zero
        )
