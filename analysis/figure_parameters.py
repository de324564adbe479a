"""Parameters of the figures: their meaning, their rule, and values other than a scale's own."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

from aniso import checks

_SETS = ("cifar10", "svhn", "fashion_mnist")


@dataclass(frozen=True)
class Parameter:
    """A number, a word or a list that a figure is computed with.

    Attributes
    ----------
    meaning : str
        For the help of the command.
    rule : callable
        ``(name, value) -> value``, plain data; raises InputError where the value is impossible.
    """

    meaning: str
    rule: Callable


def _count(name, value):
    return checks.integer(name, value, low=1)


def _up_to(most, low=1):
    """Return the rule of a count that decides how much memory a figure takes."""

    def checked(name, value):
        return checks.integer(name, value, low=low, high=most)

    return checked


def _from_zero(name, value):
    return checks.integer(name, value, low=0)


def _positive(name, value):
    return checks.number(name, value, low=0, high=math.inf, strict=True)


def _width(name, value):
    return checks.number(name, _positive(name, value), low=0, high=10)


def _share(name, value):
    return checks.number(name, value, low=0, high=1)


def _data_set(name, value):
    return checks.one_of(name, value, _SETS)


def _split(name, value):
    return checks.one_of(name, value, ("official", "paper"))


def _several(rule, increasing=False):
    """Return the rule of a list of different values; one value is a list of one."""

    def checked(name, value):
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        found = [rule(f"{name}[{place}]", entry) for place, entry in enumerate(values)]
        if not found or len(set(found)) < len(found):
            raise checks.InputError(f"{name}={value!r}; expected different values, at least one")
        if increasing and found != sorted(found):
            raise checks.InputError(f"{name}={value!r}; expected increasing values")
        return found

    return checked


def _entries(rule, *keys):
    """Return the rule of a dict with these keys."""

    def checked(name, value):
        if not isinstance(value, dict) or set(value) != set(keys):
            expected = ", ".join(f'"{key}": ...' for key in keys)
            raise checks.InputError(f"{name}={value!r}; expected {{{expected}}}")
        return {key: rule(f"{name}.{key}", value[key]) for key in keys}

    return checked


def _count_by_set(name, value):
    """Return a count, or a dict with the count of each data set."""
    if not isinstance(value, dict):
        return _count(name, value)
    return {_data_set(name, key): _count(f"{name}.{key}", count) for key, count in value.items()}


PARAMETERS = {
    "batch_size": Parameter("examples in a batch", _count),
    "check_interval": Parameter("steps from one check of the level to the next", _count),
    "datasets": Parameter("data sets", _several(_data_set)),
    "eigenvalues": Parameter("of the Hessian", _several(_positive)),
    "every": Parameter("epochs from one reading to the next", _count),
    "forecast_steps": Parameter(
        "steps that are forecast", _several(_up_to(10**6), increasing=True)
    ),
    "gd_learning_rate": Parameter("learning rate of GD before the comparison", _positive),
    "gd_steps": Parameter("steps of GD before the comparison", _count),
    "hidden": Parameter("units of a hidden layer", _up_to(10**4)),
    "horizon": Parameter("time at which a path is censored", _positive),
    "learning_rate": Parameter("learning rate", _positive),
    "learning_rates": Parameter("learning rates", _several(_positive, increasing=True)),
    "level": Parameter("loss on the border of the sublevel set", _positive),
    "level_factor": Parameter("loss that counts as left, in losses of the start", _positive),
    "level_ratio": Parameter("paths for the sublevel set for one for the ball", _up_to(100)),
    "noise_factor": Parameter("share of generic covariance in Sigma", _share),
    "num_draws": Parameter("draws for an expected sharpness", _up_to(10**6)),
    "num_eigenvalues": Parameter("eigenvalues of the Hessian", _up_to(10**4)),
    "num_epochs": Parameter(
        "epochs of ten iterations; the rate falls over the last", _up_to(10**4)
    ),
    "num_examples": Parameter("examples of a problem", _up_to(10**5)),
    "num_pairs": Parameter("eigenpairs of GLD leading and GLD Hessian", _up_to(10**4)),
    "num_paths": Parameter("simulated paths", _up_to(10**6)),
    "num_records": Parameter("records along a run, after the start's", _count),
    "num_runs": Parameter("runs of each dynamics from one start", _up_to(10**6)),
    "num_seeds": Parameter("seeds", _up_to(10**4)),
    "num_steps": Parameter("steps of each dynamics", _up_to(10**6)),
    "num_test": Parameter("test images", _count_by_set),
    "num_train": Parameter("training images", _count_by_set),
    "num_validation": Parameter("held-out training images", _count),
    "perceptron": Parameter(
        'a perceptron in place of the paper\'s network: "pooling", "hidden"',
        _entries(_up_to(10**4), "pooling", "hidden"),
    ),
    "pooling": Parameter("pixels along an edge that become one", _count),
    "radius": Parameter("of the ball, or of the draws for an expected sharpness", _positive),
    "refresh_interval": Parameter("steps from one covariance to the next", _count),
    "seed": Parameter("of the one problem", _from_zero),
    "sigma_grid": Parameter("candidates for sigma of GLD const", _several(_positive)),
    "split": Parameter("official, or the paper's exchange of the files of SVHN", _split),
    "standard_deviation": Parameter("sigma of GLD const", _positive),
    "step_size": Parameter("of the simulated equation", _positive),
    "steps": Parameter(
        "iterations of the readings", _several(_up_to(10**6, low=0), increasing=True)
    ),
    "trace": Parameter("Tr Sigma of every structure", _positive),
    "width": Parameter("width of the network, in widths of VGG-11", _width),
    "widths": Parameter("hidden units of the networks", _several(_up_to(10**4), increasing=True)),
}
"""Every parameter that ``--set`` and ``Figure.run`` take, by name."""

# pairs of counts of which the first can't exceed the second
_AT_MOST = (
    ("batch_size", "num_train"),
    ("batch_size", "num_examples"),
    ("num_records", "num_steps"),
    ("check_interval", "num_steps"),
)


def of_scale(figure, scale):
    """Return the parameters of a scale that can be set, with their values there.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale : str
        One of its scales.

    Returns
    -------
    dict
    """
    found = {**figure.options, **figure.scales[scale]}
    return {name: found[name] for name in PARAMETERS if name in found}


def chosen(figure, scale, given):
    """Return the parameters of a scale with other values for some.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale : str
        One of its scales.
    given : mapping of str to object
        The other values.

    Returns
    -------
    dict
        Equal to the scale's own where every given value is.

    Raises
    ------
    InputError
        If the scale has no parameter of a name, a value breaks its rule, would take too much
        memory or does not fit the others, or the scale belongs to a study, whose design was fixed
        before its runs.
    """
    own = dict(figure.scales[scale])
    known = of_scale(figure, scale)
    for name, value in given.items():
        if name not in known:
            raise checks.InputError(
                f"{name}={value!r}; {figure.name} has no such parameter at scale {scale}; "
                f"expected one of: {', '.join(known)}"
            )
        if "margins" in own:
            raise checks.InputError(
                f"{name}={value!r}; scale {scale} is a study, designed before its runs; expected "
                "another scale, for instance medium"
            )
        found = PARAMETERS[name].rule(name, value)
        if _plain(found) != _plain(known[name]):
            own[name] = found
    _refuse_misfits({**figure.options, **own}, figure.limits)
    return own


def _refuse_misfits(parameters, limits):
    for name, most in limits.items():
        if name in parameters:
            checks.integer(name, parameters[name], low=1, high=most)
    for low, high in _AT_MOST:
        if low not in parameters or high not in parameters:
            continue
        bounds = parameters[high]
        for bound in bounds.values() if isinstance(bounds, dict) else [bounds]:
            checks.integer(low, parameters[low], low=1, high=bound, high_name=high)


def are_own(figure, scale, parameters):
    """Return whether a scale computes with these values of everything that can be set.

    Parameters
    ----------
    figure : Figure
        Description of the figure.
    scale : str
        One of its scales.
    parameters : dict
        With or without further entries, such as digests of data.

    Returns
    -------
    bool
    """
    known = of_scale(figure, scale)
    return all(
        _plain(parameters.get(name, value)) == _plain(value)
        for name, value in known.items()
        if name != "num_seeds"
    )


def _plain(value):
    return json.loads(json.dumps(value))


def read(texts):
    """Return the values that ``--set NAME=VALUE`` gives, by name.

    Parameters
    ----------
    texts : sequence of str
        "NAME=VALUE". Values are numbers, words, lists with commas, or JSON.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If a text has no "=", or a name comes twice.

    Examples
    --------
    >>> read(["widths=16,64", "learning_rate=0.05", 'perceptron={"hidden": 8}', "split=paper"])
    {'widths': [16, 64], 'learning_rate': 0.05, 'perceptron': {'hidden': 8}, 'split': 'paper'}
    """
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise checks.InputError(f"--set {text}; expected NAME=VALUE, for instance widths=16,64")
        if name in found:
            raise checks.InputError(f"--set {text}; {name} is given twice: give it once")
        found[name] = _value(value)
    return found


def _value(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [_value(part) for part in text.split(",")] if "," in text else text


def described(figure):
    """Return the parameters of every scale with meaning and value, for the help of the command.

    Parameters
    ----------
    figure : Figure
        Description of the figure.

    Returns
    -------
    str
    """
    lines = []
    for scale in figure.scales:
        lines += ["", f"parameters of scale {scale}, for --set:"]
        if "margins" in figure.scales[scale]:
            lines[-1] = f"scale {scale} is a study, whose parameters stay as designed"
            continue
        for name, value in of_scale(figure, scale).items():
            shown = f"{name}={_text(value)}"
            lines.append(f"  {shown:<34} {PARAMETERS[name].meaning}")
    return "\n".join(lines[1:])


def _text(value):
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value))
    if isinstance(value, dict):
        return f"'{json.dumps(value)}'"
    return str(value)
