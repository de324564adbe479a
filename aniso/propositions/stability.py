"""Linear stability of SGD: its exact threshold against the enumeration of all batches."""

import itertools

import numpy as np

from aniso import closed_forms, datasets, matrices
from aniso.propositions import falsification, symbols
from aniso.propositions.check import Statement, compare
from aniso.propositions.settings import Task

TITLE = "Stability: the exact threshold of SGD, bounds, batch sharpness and optimisers"

LEGEND = symbols.shared("θ", "N", "D", "E", "H") | {
    "H_i": "Hessian of the loss of example i",
    "H_B": "mean Hessian of a batch",
    "B": "batch size",
    "g_B": "gradient of a batch",
    "η, η*": "learning rate, and its exact threshold",
    "ρ": "spectral radius of the map of second moments in one step, by enumeration",
    "β": "momentum",
    "u": "a direction",
    "h": "curvature of an example in one dimension",
    "λ": "eigenvalue of the preconditioned Hessian",
    "r": "rank of each H_i",
}

_STABILITY = "docs/theory/stability.md"
_THRESHOLD = f"{_STABILITY}, Mean-square threshold of SGD"
_EIGENVALUES = "rounding of eigenvalues of condition 1e4, 1e-11"
EDGE = Statement("edge", "ρ = 1 at η*, the case that deviates most", _EIGENVALUES, _THRESHOLD)
BELOW = Statement("below the edge", "ρ ≤ 1 at 0.98 η*, largest value", "none", _THRESHOLD)
ABOVE = Statement("above the edge", "ρ ≥ 1 at 1.02 η*, smallest value", "none", _THRESHOLD)
MOMENTUM = Statement(
    "edge with momentum",
    "ρ = 1 at η*, the case that deviates most",
    "rounding of eigenvalues that are not of a symmetric matrix, 1e-8",
    f"{_STABILITY}, Threshold with momentum",
)
IMAGES = Statement(
    "edge on images",
    "ρ = 1 at η* in the span of the images",
    "rounding of eigenvalues, 1e-9",
    f"{_STABILITY}, Threshold in the span of factors",
)
ITERATION = Statement(
    "dense and iterative",
    "η* by products of matrices = η* by one eigendecomposition",
    "twice the residual of the iteration, relative",
    f"{_STABILITY}, Threshold in the span of factors",
)
DIRECTION = Statement(
    "bound along u",
    "(bound along u)/η* - 1 ≥ 0",
    "rounding, 1e-10",
    f"{_STABILITY}, Stability along one direction",
)
LOWER = Statement(
    "batch sharpness, mean of ratios",
    "E(g_Bᵀ H_B g_B/|g_B|²) < 2/η* at the edge, in one dimension",
    "none",
    f"{_STABILITY}, Batch sharpness is not the limit of stability",
)
UPPER = Statement(
    "batch sharpness, ratio of means",
    "E(g_Bᵀ H_B g_B)/E|g_B|² > 2/η* at the edge, in one dimension",
    "none",
    f"{_STABILITY}, Batch sharpness is not the limit of stability",
)
MOMENTS = Statement(
    "threshold in one dimension",
    "2/η* = E h²/E h",
    "rounding, 1e-12",
    f"{_STABILITY}, Batch sharpness is not the limit of stability",
)
OPTIMISERS = Statement(
    "limit of an optimiser",
    "the spectral radius of one step is 1 at the limit of λ",
    "rounding, 1e-9",
    f"{_STABILITY}, Limits of optimisers",
)

_SAMPLINGS = ((1, True), (2, True), (3, False), (4, False))


def tasks(settings):
    """Return the tasks about stability.

    Parameters
    ----------
    settings : aniso.propositions.settings.Settings
        Scale and seed of the verification.

    Returns
    -------
    list of aniso.propositions.settings.Task
    """
    return [
        Task("all batches", lambda: _all_batches(settings)),
        Task("momentum", lambda: _momentum(settings)),
        Task("images", lambda: _images(settings)),
        Task("span of factors", lambda: _span(settings)),
        Task("batch sharpness", lambda: _batch_sharpness(settings)),
        Task("optimisers", _optimisers),
        Task("falsification", lambda: _falsification(settings)),
    ]


def spectral_radius(hessians, learning_rate, batch_size, replacement, momentum=0.0):
    """Spectral radius of the second moments' map, the mean of ``A x A`` over all batches.

    Parameters
    ----------
    hessians : ndarray, shape (N, D, D)
        H_i.
    learning_rate : float
        eta.
    batch_size : int
        B.
    replacement : bool
        Whether a batch may contain an example twice.
    momentum : float
        beta; A is then the map of two successive iterates.

    Returns
    -------
    float

    Examples
    --------
    >>> spectral_radius(np.array([[[1.0]], [[3.0]]]), 1.0, 1, True)  # (0 + 4)/2
    2.0
    """
    count, size, _ = hessians.shape
    identity = np.eye(size)
    if replacement:
        batches = list(itertools.product(range(count), repeat=batch_size))
    else:
        batches = list(itertools.combinations(range(count), batch_size))
    steps = identity - learning_rate * hessians[np.array(batches)].mean(axis=1)
    if momentum:
        below = np.broadcast_to(np.hstack([identity, 0 * identity]), (len(steps), size, 2 * size))
        memory = np.broadcast_to(-momentum * identity, steps.shape)
        above = np.concatenate([steps + momentum * identity, memory], axis=2)
        steps = np.concatenate([above, below], axis=1)
    size = steps.shape[1]
    mean = np.einsum("bij,bkl->ikjl", steps, steps) / len(steps)
    mean = mean.reshape(size**2, size**2)
    values = np.linalg.eigvals(mean) if momentum else np.linalg.eigvalsh(mean)
    return float(np.abs(values).max())


def _random_case(rng, rank):
    """Return curvatures of four examples in three dimensions, and their Hessians."""
    rows = rng.standard_normal((4, rank, 3))
    return matrices.curvatures_from_factors(rows), np.einsum("iad,iae->ide", rows, rows)


def _all_batches(settings):
    rng = settings.rng("stability/all batches")
    count, found = settings.pick(3, 10, 100), []
    for rank, (size, replacement) in itertools.product((1, 2), _SAMPLINGS):
        radii = []
        for _ in range(count):
            curvatures, hessians = _random_case(rng, rank)
            rate = closed_forms.stability_threshold(
                curvatures, size, replacement=replacement
            ).learning_rate
            radii.append(
                [
                    spectral_radius(hessians, factor * rate, size, replacement)
                    for factor in (0.98, 1.0, 1.02)
                ]
            )
        below, edge, above = np.array(radii).T
        drawn = "with" if replacement else "without"
        setting = f"{count} random cases, N = 4, D = 3, r = {rank}, B = {size} {drawn} replacement"
        worst = edge[np.abs(edge - 1).argmax()]
        found.append(compare(EDGE.at(setting, 1e-11), worst, "==", 1.0))
        found.append(compare(BELOW.at(setting), below.max(), "<=", 1.0))
        found.append(compare(ABOVE.at(setting), above.min(), ">=", 1.0))
    return found


def _momentum(settings):
    rng = settings.rng("stability/momentum")
    count, found = settings.pick(3, 10, 100), []
    for momentum in (0.5, 0.9):
        radii = []
        for number in range(count):
            size, replacement = _SAMPLINGS[number % len(_SAMPLINGS)]
            curvatures, hessians = _random_case(rng, 1 + number % 2)
            rate = closed_forms.stability_threshold(
                curvatures, size, replacement=replacement, momentum=momentum
            ).learning_rate
            radii.append(spectral_radius(hessians, rate, size, replacement, momentum))
        worst = max(radii, key=lambda radius: abs(radius - 1))
        setting = f"{count} random cases, N = 4, D = 3, β = {momentum:g}, B from 1 to 4"
        found.append(compare(MOMENTUM.at(setting, 1e-8), worst, "==", 1.0))
    return found


def _images(settings):
    """Check least squares on images, ``H_i = x x^T``, in the basis of a QR decomposition."""
    count = settings.pick(8, 16, 24)
    images = datasets.fashion_mnist().train_images[:count].reshape(count, -1) / 255
    curvatures = matrices.curvatures_from_factors(images)
    within = np.linalg.qr(images.T)[1].T
    hessians = within[:, :, None] * within[:, None, :]
    found = []
    for size, replacement in ((1, True), (2, False)):
        made = closed_forms.stability_threshold(
            curvatures, size, replacement=replacement, method="iterative"
        )
        radius = spectral_radius(hessians, made.learning_rate, size, replacement)
        setting = f"least squares on {count} images, D = {images.shape[1]}, B = {size}"
        finding = (
            f"{count} images, B = {size}: η* is {made.learning_rate / made.full_batch:.3g} times "
            "the threshold of the full batch."
        )
        found.append(compare(IMAGES.at(setting, 1e-9), radius, "==", 1.0, finding=finding))
    return found


def _span(settings):
    rng = settings.rng("stability/span")
    count, size = settings.pick((16, 200), (20, 2000), (24, 20000))
    rows = rng.standard_normal((count, size)) * np.arange(1, size + 1) ** -0.6
    curvatures = matrices.curvatures_from_factors(rows)
    found = []
    for batch_size, momentum in ((1, 0.0), (8, 0.0), (4, 0.9)):
        dense, iterative = (
            closed_forms.stability_threshold(
                curvatures, batch_size, replacement=False, momentum=momentum, method=method
            )
            for method in ("dense", "iterative")
        )
        setting = f"{count} factors, D = {size:,}, B = {batch_size}, β = {momentum:g}"
        tolerance = 2 * iterative.error_bound + 1e-12 * dense.learning_rate
        found.append(
            compare(
                ITERATION.at(setting, tolerance),
                iterative.learning_rate,
                "==",
                dense.learning_rate,
            )
        )
    return found


def _batch_sharpness(settings):
    rng = settings.rng("stability/batch sharpness")
    curvatures_along = np.concatenate([[1.0], rng.uniform(2.0, 6.0, 4)])
    curvatures = matrices.example_curvatures(curvatures_along[:, None, None])
    gradients = 0.1 * curvatures_along[:, None]
    options = (curvatures, gradients, 1)
    lower = closed_forms.batch_sharpness_mean_of_ratios(*options, replacement=True)
    upper = closed_forms.batch_sharpness_ratio_of_means(*options, replacement=True)
    limit = closed_forms.stability_threshold(curvatures, 1, replacement=True).sharpness
    expected = float(np.mean(curvatures_along**2) / np.mean(curvatures_along))
    setting = "5 examples with the gradients hθ, B = 1"
    finding = (
        f"At the edge the two batch sharpnesses are {lower:.3f} and {upper:.3f}, and 2/η* is "
        f"{limit:.3f}: neither is the limit of stability."
    )
    return [
        compare(LOWER.at(setting), lower, "<=", 0.99 * limit, finding=finding),
        compare(UPPER.at(setting), upper, ">=", 1.01 * limit),
        compare(MOMENTS.at(setting, 1e-12 * limit), limit, "==", expected),
    ]


def _optimisers():
    found = []
    for form, momentum in (("heavy_ball", 0.9), ("nesterov", 0.9), ("averaged", 0.9)):
        limit = closed_forms.sharpness_limit(1.0, momentum=momentum, form=form)
        # the step of (θ, memory), from the gradient limit * θ
        own = (1 - momentum) if form == "averaged" else 1.0
        memory = np.array([own * limit, momentum])
        used = memory
        if form == "nesterov":
            used = np.array([limit, 0.0]) + momentum * memory
        step = np.array([[1.0, 0.0] - used, memory])
        radius = np.abs(np.linalg.eigvals(step)).max()
        name = form.replace("_", " ")
        setting = f"{name}, β = {momentum:g}, η = 1, λ = {limit:.4g}"
        found.append(compare(OPTIMISERS.at(setting, 1e-9), radius, "==", 1.0))
    return found


def _falsification(settings):
    rng = settings.rng("stability/falsification")
    count, found = settings.pick(40, 150, 2000), []
    for momentum in (0.0, 0.9):
        margins, planted = [], []
        for _ in range(count):
            along, spread, exact = _random_direction(rng, momentum)
            options = {"replacement": True, "momentum": momentum}
            bound = closed_forms.threshold_along(along, 1, spread=spread, **options)
            margins.append(bound / exact - 1)
            planted.append(_false_bound(along, momentum) / exact - 1)
        setting = f"β = {momentum:g}, N = 3, D = 2, B = 1"
        worst, broken = (
            falsification.WorstCase(min(values), np.zeros(0), tuple(values), count)
            for values in (margins, planted)
        )
        false_claim = "the bound without the spread of the eigenvalues of H along u"
        if momentum == 0:
            false_claim = "the bound with twice the variance"
        found += falsification.verdicts(DIRECTION.at(setting, 1e-10), false_claim, worst, broken)
    return found


def _random_direction(rng, momentum):
    """Return h along a random u, the spread of H along it, and the exact threshold."""
    scales = rng.uniform(0.05, 1.0, 2)
    rows = rng.standard_normal((3, 2, 2)) * scales
    curvatures = matrices.curvatures_from_factors(rows)
    made = closed_forms.stability_threshold(curvatures, 1, replacement=True, momentum=momentum)
    # near the direction of the threshold the bound is nearly reached
    direction = made.direction + 0.3 * rng.standard_normal(2)
    direction /= np.linalg.norm(direction)
    image = curvatures.mean_product(direction)
    spread = float(np.linalg.norm(image - (direction @ image) * direction) ** 2)
    return curvatures.along(direction), spread, made.learning_rate


def _false_bound(along, momentum):
    if momentum:
        return closed_forms.threshold_along(along, 1, replacement=True, momentum=momentum)
    mean, variance = along.mean(), along.var()
    return 2 * mean / (mean**2 + 2 * variance)
