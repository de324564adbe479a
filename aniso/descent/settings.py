"""Settings of one run: all options that change the mathematics."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from aniso import checks
from aniso.descent.schedules import Schedule, require_schedule
from aniso.descent.structures import DYNAMICS, NEEDS_COVARIANCE
from aniso.descent.updates import Adam, CoupledDecay, DecoupledDecay, HeavyBall

SAMPLINGS = ("with_replacement", "without_replacement", "epochs", "cyclic")


@dataclass(frozen=True)
class Settings:
    """Settings of one run of descent.

    Attributes
    ----------
    dynamics : str
        A name in :data:`aniso.descent.DYNAMICS`. "sgd" is noise of actual mini-batches,
        "sgd_gaussian" Gaussian noise of the same covariance.
    learning_rate : float
        eta >= 0; of every step, or before the factor of the schedule.
    num_steps : int
        Iterations.
    batch_size : int or None
        m; needed by every noise but "gld_constant".
    sampling : {"with_replacement", "without_replacement", "epochs", "cyclic"} or None
        How batches are drawn; needed with `batch_size`, no default because the noise differs by
        the factor (N - m)/(N - 1). "epochs" goes through a new random order without replacement;
        the last ``N mod m`` examples of an order are left out. "cyclic" goes round one random
        order again and again.
    standard_deviation : float or None
        sigma of "gld_constant", on the gradient.
    num_pairs : int
        k of "gld_leading" and "gld_hessian".
    refresh_interval : int
        Steps between two evaluations of the noise covariance; in between it is kept as it was.
    rescaled : bool
        Whether "gld_leading" and "gld_hessian" get the trace Tr Sigma_t.
    covariance_source : {"examples", "batches"}
        Sigma_t exact from per-example gradients, or estimated from the disjoint batches of one
        shuffled epoch, as in the published scripts.
    eigenvalues : {"positive", "magnitude"}
        Eigenpairs of H that carry the noise of "gld_hessian": the largest, or the largest in
        magnitude by their absolute values, as in the published scripts.
    injection : {"every_step", "refresh_steps"}
        Steps in which noise is added: all, or only those that evaluate its covariance, as in the
        published "leading" script. The latter divides its mean square by the interval.
    power_iterations : int or None
        Power iterations for "gld_first_eigenvector"; None for an eigenvector with residual bound.
    eigen_tolerance : float
        Residual of the Hessian's eigenpairs relative to its norm. In ten steps the Hessian itself
        moves by a residual of 0.3, so that the default of 1e-2 is far finer than the refreshes.
        From 1e-4 on, a network computes its products in single precision.
    divergence_loss : float
        A recorded loss above it ends the run as diverged.
    update : updates.HeavyBall, updates.Adam or None
        How a step uses the gradient and its noise; None for ``theta - eta (grad L + eps)``.
    decay : updates.CoupledDecay, updates.DecoupledDecay or None
        Weight decay. The recorded loss is that of the problem, without a penalty.
    schedule : schedules.Schedule or None
        Factor of the learning rate by step; None for a constant one.

    Examples
    --------
    >>> Settings("gld_dynamic", learning_rate=0.1, num_steps=10)
    Traceback (most recent call last):
        ...
    aniso.checks.InputError: batch_size=None; 'gld_dynamic' needs the size of the mini-batch \
whose noise it imitates
    """

    dynamics: str
    learning_rate: float
    num_steps: int
    batch_size: int | None = None
    sampling: str | None = None
    standard_deviation: float | None = None
    num_pairs: int = 20
    refresh_interval: int = 1
    rescaled: bool = True
    covariance_source: str = "examples"
    eigenvalues: str = "positive"
    injection: str = "every_step"
    power_iterations: int | None = None
    eigen_tolerance: float = 1e-2
    divergence_loss: float = 1e6
    update: HeavyBall | Adam | None = None
    decay: CoupledDecay | DecoupledDecay | None = None
    schedule: Schedule | None = None

    def __post_init__(self):
        for name, value in self._checked():
            object.__setattr__(self, name, value)
        if self.schedule is not None:
            self.schedule.check_steps(self.num_steps)
        if self.dynamics in NEEDS_COVARIANCE or self.dynamics == "sgd":
            if self.batch_size is None:
                raise checks.InputError(
                    f"batch_size=None; {self.dynamics!r} needs the size of the mini-batch whose "
                    "noise it imitates"
                )
            checks.one_of("sampling", self.sampling, SAMPLINGS)
        if self.dynamics == "gld_constant" and self.standard_deviation is None:
            raise checks.InputError("standard_deviation=None; 'gld_constant' needs its fixed sigma")

    def _checked(self):
        # every field that is given is checked, whether or not the dynamics needs it
        choices = {
            "dynamics": DYNAMICS,
            "sampling": SAMPLINGS,
            "covariance_source": ("examples", "batches"),
            "eigenvalues": ("positive", "magnitude"),
            "injection": ("every_step", "refresh_steps"),
        }
        least = {
            "num_steps": 0,
            "batch_size": 1,
            "num_pairs": 1,
            "refresh_interval": 1,
            "power_iterations": 1,
        }
        ranges = {
            "learning_rate": {"low": 0},
            "standard_deviation": {"low": 0},
            "eigen_tolerance": {"low": 0, "high": 1, "strict": True},
            "divergence_loss": {"low": 0, "strict": True},
        }
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if value is None and field.default is None:
                continue
            if name in choices:
                yield name, checks.one_of(name, value, choices[name])
            elif name in least:
                yield name, checks.integer(name, value, low=least[name])
            elif name in ranges:
                yield name, checks.number(name, value, **ranges[name])
            elif name in _KINDS:
                yield name, _of_kind(name, value)
            elif name == "schedule":
                yield name, require_schedule(name, value)
            else:
                yield name, checks.flag(name, value)

    def check_examples(self, num_examples: int) -> None:
        """Refuse batches that N examples can't fill.

        Raises
        ------
        InputError
            If a batch without replacement exceeds N, or N allows fewer than two batches.
        """
        if self.batch_size is None:
            return
        if self.sampling != "with_replacement":
            checks.integer("batch_size", self.batch_size, low=1, high=num_examples, high_name="N")
        if self.covariance_source == "batches" and num_examples < 2 * self.batch_size:
            raise checks.InputError(
                f"batch_size={self.batch_size} leaves fewer than two batches of N={num_examples} "
                "examples; expected at least two for covariance_source='batches'"
            )

    @property
    def replacement(self) -> bool:
        """Whether the batch whose noise is imitated is drawn with replacement."""
        return self.sampling == "with_replacement"

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, from 0 on."""
        return self.learning_rate * (1.0 if self.schedule is None else self.schedule.factor(step))

    def parameters(self) -> dict[str, Any]:
        """Return the settings as plain data, for a run directory.

        Update, decay and schedule are left out where they are None.
        """
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        parts = {name: given.pop(name) for name in (*_KINDS, "schedule")}
        return given | {n: part.identity() for n, part in parts.items() if part is not None}


_KINDS = {"update": (HeavyBall, Adam), "decay": (CoupledDecay, DecoupledDecay)}


def _of_kind(name, value):
    if not isinstance(value, _KINDS[name]):
        first, second = (kind.__name__ for kind in _KINDS[name])
        raise checks.InputError(
            f"{name}={value!r}; expected None, descent.{first}(...) or descent.{second}(...)"
        )
    return value


def as_stated(dynamics: str, **settings: Any) -> Settings:
    """Return settings as the paper states them: exact Sigma_t, same trace, noise in every step.

    "gld_leading" and "gld_hessian" are refreshed every 10 steps, as the paper states. The interval
    of "gld_first_eigenvector", 10 steps too, is this project's choice. So is its eigenvector, found
    to `eigen_tolerance` instead of by 30 power iterations. All other noise is evaluated in every
    step.

    Parameters
    ----------
    dynamics : str
        Name of the dynamics.
    settings
        Fields of :class:`Settings`; they replace the choices made here.

    Returns
    -------
    Settings
    """
    chosen = {"sampling": "with_replacement"} | settings
    if dynamics in _REFRESHED:
        chosen = {"refresh_interval": 10} | chosen
    return Settings(dynamics, **chosen)


def as_published(dynamics: str, **settings: Any) -> Settings:
    """Return settings as in the published scripts, where they differ from the paper.

    Sigma_t is estimated from the disjoint batches of one shuffled epoch (ddof 1), and batches are
    drawn by epoch. The leading noise is truncated, not rescaled, and added on one step in ten. The
    eigenvalues of H are those largest in magnitude, each by its absolute value. The first
    eigenvector is the result of 30 power iterations.

    Parameters
    ----------
    dynamics : str
        Name of the dynamics.
    settings
        Fields of :class:`Settings`; they replace the choices made here.

    Returns
    -------
    Settings
    """
    chosen = {"sampling": "epochs", "covariance_source": "batches"}
    chosen |= {"eigenvalues": "magnitude", "power_iterations": 30}
    if dynamics in _REFRESHED:
        chosen |= {"refresh_interval": 10}
    if dynamics == "gld_leading":
        chosen |= {"rescaled": False, "injection": "refresh_steps"}
    return Settings(dynamics, **(chosen | settings))


_REFRESHED = ("gld_leading", "gld_hessian", "gld_first_eigenvector")
