"""A monitor inside the training loops of Lightning and of Hugging Face's transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aniso import _extras, checks
from aniso.diagnostics.monitor import Monitor


def lightning_callback(
    monitor: Monitor,
    *,
    model: str | None = None,
    read_optimizer: bool = True,
    on_diagnosis: Callable[..., Any] | None = None,
) -> Any:
    """Return a callback for ``lightning.pytorch.Trainer`` that measures at the monitor's steps.

    Parameters
    ----------
    monitor : Monitor
        Of the problem of the model that is trained. Its steps are steps of the optimizer.
    model : str, optional
        Attribute of the LightningModule with the model of the problem, "net" or "net.body" for
        instance; the LightningModule itself if not given.
    read_optimizer : bool
        Whether learning rate, momentum and preconditioner are read from the trainer's optimizer,
        if it is a single one. An optimizer that keeps moments is read from its first step on, and
        none where its learning rate is 0; the settings of the monitor hold there.
    on_diagnosis : callable, optional
        ``on_diagnosis(step, diagnosis)`` after each measured step, for a logger for instance.

    Returns
    -------
    lightning.pytorch.Callback

    Raises
    ------
    InputError
        If an argument breaks its rule. At the start of the training, if the model is another one
        than that of the problem.
    ModuleNotFoundError
        If Lightning is not installed.

    Notes
    -----
    A step is measured before its forward pass, the last one after the training. The trained model,
    its mode and gradients, and the random states are not touched. Of many processes the first one
    measures; of a :func:`aniso.frameworks.sharded` problem all do.
    """
    recorder = Recorder(monitor, model, read_optimizer, on_diagnosis)
    with _extras.needed_for("lightning_callback"):
        from aniso.diagnostics import _lightning
    return _lightning.LightningMonitor(recorder)


def trainer_callback(
    monitor: Monitor,
    *,
    model: str | None = None,
    read_optimizer: bool = True,
    on_diagnosis: Callable[..., Any] | None = None,
) -> Any:
    """Return a callback for ``transformers.Trainer`` that measures at the monitor's steps.

    Parameters
    ----------
    monitor, model, read_optimizer, on_diagnosis : object
        As in :func:`lightning_callback`; `model` is an attribute of the trainer's model.

    Returns
    -------
    transformers.TrainerCallback

    Raises
    ------
    InputError
        If an argument breaks its rule. At the start of the training, if the model is another one
        than that of the problem.
    ModuleNotFoundError
        If transformers is not installed.

    Notes
    -----
    As in :func:`lightning_callback`.
    """
    recorder = Recorder(monitor, model, read_optimizer, on_diagnosis)
    with _extras.needed_for("trainer_callback"):
        from aniso.diagnostics import _transformers
    return _transformers.TrainerMonitor(recorder)


class Recorder:
    """Measures a step of a training once, for the callback of any library.

    Parameters
    ----------
    monitor, model, read_optimizer, on_diagnosis : object
        As in :func:`lightning_callback`.
    """

    def __init__(self, monitor, model, read_optimizer, on_diagnosis):
        if not isinstance(monitor, Monitor):
            raise checks.InputError(
                f"monitor is a {type(monitor).__name__}; expected a diagnostics.Monitor"
            )
        if model is not None and not (isinstance(model, str) and model):
            raise checks.InputError(f"model={model!r}; expected the name of an attribute, or None")
        if on_diagnosis is not None and not callable(on_diagnosis):
            raise checks.InputError(
                f"on_diagnosis={on_diagnosis!r}; expected a function (step, diagnosis)"
            )
        self.monitor, self._path, self._on_diagnosis = monitor, model, on_diagnosis
        self._reads = checks.flag("read_optimizer", read_optimizer)
        self._last = None

    def start(self, module):
        """Refuse a module without the model of the problem."""
        self._last = None
        self.monitor.theta_of(self._model(module))

    def record(self, step, module, optimizers, *, is_first):
        """Measure a step if it is due, once however often this is called.

        Parameters
        ----------
        step : int
        module : torch.nn.Module
            What is trained.
        optimizers : sequence of torch.optim.Optimizer
        is_first : bool
            Whether this process is the first of all.
        """
        if step == self._last or not self.monitor.due(step):
            return
        self._last = step
        if not (is_first or self.monitor.all_ranks):
            return
        diagnosis = self.monitor.at_step(
            step, self._model(module), optimizer=self._optimizer(optimizers)
        )
        if self._on_diagnosis is not None:
            self._on_diagnosis(step, diagnosis)

    def _model(self, module):
        for name in filter(None, (self._path or "").split(".")):
            if not hasattr(module, name):
                raise checks.InputError(
                    f"model={self._path!r}: a {type(module).__name__} has no attribute {name!r}; "
                    "expected the attribute with the model of the problem"
                )
            module = getattr(module, name)
        return module

    def _optimizer(self, optimizers):
        if not self._reads or len(optimizers) != 1:
            return None
        # accelerate and Lightning wrap the optimizer
        optimizer = getattr(optimizers[0], "optimizer", optimizers[0])
        has_state = type(optimizer).__name__ == "SGD" or optimizer.state
        # schedules begin or end with the learning rate 0
        moves = all(float(group["lr"]) > 0 for group in optimizer.param_groups)
        return optimizer if has_state and moves else None
