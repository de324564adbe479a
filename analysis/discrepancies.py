"""DISCREPANCIES.md: statements of the paper, its scripts, and the measurements of this project."""

import numpy as np

from analysis import (
    as_published,
    claims,
    fashion_mnist,
    fig3_fashion_mnist,
    fig4_one_hidden_layer,
    fig5_curvature,
    figure_style,
    vgg,
    vgg_study,
)


def page(found):
    """Return paper, published scripts and measurement side by side, as Markdown.

    Parameters
    ----------
    found : list of dict of str to str
        Of :func:`rows`.

    Returns
    -------
    str
    """
    lines = [
        "# What the paper states, what its scripts do, what is measured here",
        "",
        "Written by `python -m analysis.index` from the stored data of the figures. Both variants",
        "of each difference in the dynamics are options of `aniso.descent` (`as_stated`,",
        "`as_published`); the figures use the stated ones.",
        "",
        "| subject | paper | published script | measured here |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {' | '.join(row.values())} |" for row in found]
    return "\n".join(lines) + "\n"


def rows(stored, variants=None):
    """Return the rows of the table, plain data.

    Parameters
    ----------
    stored : dict of str to (dict, dict of str to ndarray)
        Of :func:`analysis.index.stored_figures`.
    variants : (dict, dict of str to ndarray), optional
        Of :func:`analysis.as_published.stored`.

    Returns
    -------
    list of dict of str to str
    """
    stored = stored | ({} if variants is None else {"as_published": variants})
    return [
        {
            "subject": subject,
            "paper": paper,
            "published script": script,
            "measured here": measure(stored) or "not computed yet",
        }
        for subject, paper, script, measure in _ROWS
    ]


def _from(name, text):
    """Return a measurement that needs the data of one figure."""

    def measured(stored):
        return text(*stored[name]) if name in stored else ""

    return measured


def _success_rates(description, arrays):
    parameters = description["parameters"]
    count = parameters["num_runs"] * parameters["num_seeds"]
    rates = arrays["successes"].sum(axis=0) / count
    return (
        "success rates "
        + ", ".join(f"{rate:.3f}" for rate in rates)
        + (f" in {count:,} runs each (GD, const, diag, leading, Hessian, 1st eigenvector)")
    )


def _leading(_, arrays):
    share = float(np.mean(arrays["kept_share"]))
    return (
        f"at theta*_GD 20 pairs hold {share:.3f} of Tr Sigma, so the script's mean square noise "
        f"is {share / 10:.3f} of the stated one"
    )


def _batches(_, arrays):
    ratios = arrays["noise_trace_of_batches"] / arrays["noise_trace"][:, None]
    error = ratios.std(ddof=1) / np.sqrt(ratios.size)
    return (
        f"estimated trace / Tr(Sigma_1)/m = {ratios.mean():.4f} ± {error:.4f} (expected "
        f"N/(N-1)); one estimate scatters by {ratios.std(ddof=1):.3f}"
    )


def _spectrum(_, arrays):
    return fig5_curvature.conditioning_text(arrays)


def _eigenvalues(_, arrays):
    counts = ", ".join(str(int(count)) for count in arrays["num_negative"])
    return f"{counts} of the 20 eigenvalues largest in magnitude are negative at theta*_GD"


def _power(_, arrays):
    return (
        f"cosine with the converged eigenvector at least {float(arrays['power_cosine'].min()):.6f}"
    )


def _gd_accuracy(description, arrays):
    tested = description["parameters"]["num_test"]
    return (
        f"{float(np.mean(arrays['test_accuracy'][:, 0, 0])):.4f} at theta*_GD, "
        f"{float(np.mean(arrays['test_accuracy'][:, 0, -1])):.4f} after "
        f"{description['parameters']['num_steps']:,} further iterations of GD "
        f"({description['parameters']['num_train']:,} training, {tested:,} test images)"
    )


def _sgd_accuracy(_, arrays):
    curves = arrays["test_accuracy"][:, -1]
    ends = curves.mean(axis=0)
    if not np.isfinite(ends).all():
        return f"SGD diverged with {int(np.isnan(curves[:, -1]).sum())} of {len(curves)} seeds"
    change, error = claims.over_seeds(curves[:, -1] - curves[:, 0])
    bar = f" ± {error:.2g}" if len(curves) > 1 else ""
    return (
        f"SGD goes from {ends[0]:.4f} to {ends[-1]:.4f} in {arrays['step'][-1]:,} iterations, a "
        f"change of {change:.2g}{bar} (mean over {len(curves)} seed{'s' * (len(curves) > 1)})"
    )


def _as_published(description, ends):
    return (
        f"scale {description['scale']}, "
        f"{as_published.told(ends, description['parameters']['margins'])}"
    )


def _ends(_, arrays):
    labels, ends = figure_style.LABELS, arrays["accuracy"][:, :, -1].T
    lost = [
        f"{labels[name]} "
        + ", ".join("diverged" if np.isnan(rate) else f"{100 * rate:.0f} %" for rate in rates)
        for name, rates in zip(fig3_fashion_mnist.DYNAMICS, ends, strict=True)
        if not (rates >= claims.LEARNT).all()
    ]
    if not lost:
        return f"every run ends above {100 * claims.LEARNT:.0f} % training accuracy"
    return (
        "training accuracy at the end, by seed, where a run lost the data or diverged: "
        f"{'; '.join(lost)}. The claims count a network that lost the data like any other"
    )


def _training_set(description, _):
    own = description["parameters"]
    random = own["num_train"] // fashion_mnist.RANDOM_LABEL_SHARE
    return (
        f"Figure 3 at scale {description['scale']}: {own['num_train']:,} images, the first "
        f"{own['num_train'] - random:,} clean, the next {random:,} with random labels"
    )


def _constant(description, arrays):
    trace = float(np.nanmean(arrays["noise_trace"][:, 2, 0]))
    own = description["parameters"]["standard_deviation"] ** 2 * 11330
    return f"sigma^2 D = {own:.4f} against Tr Sigma = {trace:.4f} at theta*_GD"


def _dead_networks(description, arrays):
    alive = fig4_one_hidden_layer.alive(arrays)
    counts = ", ".join(
        f"{int((~alive[:, number]).sum())} of {len(alive)} at h = {width}"
        for number, width in enumerate(description["parameters"]["widths"])
    )
    return (
        "uniform on (-1, 1)/sqrt(d h), which keeps outputs of order one; networks that lose every "
        f"example within the clip and never learn: {counts}"
    )


def _vgg_setting(description, _):
    own = description["parameters"]
    names = own["datasets"]
    counts = [vgg.of_dataset(own, name)["num_train"] for name in names]
    sizes = " and ".join(f"{count:,}" for count in dict.fromkeys(counts))
    return (
        f"at scale {description['scale']} width {own['width']:g}, images pooled to "
        f"{32 // own['pooling']} x {32 // own['pooling']}, N = {sizes}, m = "
        f"{own['batch_size']}, {own['num_steps']:,} iterations, {own['num_seeds']} random starts"
    )


def _vgg_sigma(description, arrays):
    names = description["parameters"]["datasets"]
    if "sigma_grid" not in description["parameters"]:  # a study
        tuned = description["prepared"]["tuned"]
        return (
            f"tuned before the study on two seeds of its own, within the grid "
            f"{', '.join(f'{sigma:g}' for sigma in vgg_study.TUNING['sigma_grid'])}: "
            f"{', '.join(f'{tuned[name]:g} for {name}' for name in names)}"
        )
    chosen = "; ".join(
        f"{name}: " + ", ".join(f"{sigma:g}" for sigma in row)
        for name, row in zip(names, arrays["standard_deviation"], strict=True)
    )
    grid = description["parameters"]["sigma_grid"]
    ends = int(np.isin(arrays["standard_deviation"], (min(grid), max(grid))).sum())
    return (
        f"best of {', '.join(f'{sigma:g}' for sigma in grid)} on held-out training images, by "
        f"seed: {chosen} ({ends} of {arrays['standard_deviation'].size} at an end of the grid)"
    )


def _stated(text):
    return lambda _: text


_ROWS = (
    (
        "Figures 1 and 6, setting",
        "VGG-11, N = 25,000 (SVHN) or 50,000, m = 100, 100,000 iterations (GLD up to 200,000)",
        "the same",
        _from("fig1_generalization", _vgg_setting),
    ),
    (
        "Figures 1 and 6, GLD const",
        "sigma tuned around 1e-3",
        "the same",
        _from("fig1_generalization", _vgg_sigma),
    ),
    (
        "Figures 1 and 6, GLD diag",
        "diagonal of Sigma_t",
        "diagonal from 100 mini-batches, refreshed every 10 iterations",
        _stated("exact diagonal, refreshed every 10 iterations"),
    ),
    (
        "Figures 1 and 6, scale paper",
        "70,000 test images of SVHN; GLD up to 200,000 iterations",
        "the same",
        _stated(
            "1,000 of CIFAR-10's 50,000 training images are held out to tune sigma (of SVHN's "
            "26,032, 25,000 train and 1,000 are held out); every dynamics runs for 100,000 "
            "iterations"
        ),
    ),
    (
        "Figure 2, success",
        "rates over 100 runs",
        "masks the loss surface in the plot by a wrong index; the dynamics are not affected",
        _from("fig2_two_basins", _success_rates),
    ),
    (
        "GLD leading",
        "noise in every step, trace Tr Sigma",
        "truncated to 20 pairs, not rescaled, added on one step in ten without compensation",
        _from("fig5_curvature", _leading),
    ),
    (
        "GLD Hessian",
        "k leading eigenpairs of H",
        "the k largest in magnitude, by their absolute values, rescaled",
        _from("fig5_curvature", _eigenvalues),
    ),
    (
        "GLD 1st eigenvector",
        "leading eigenvector of H",
        "30 power iterations",
        _from("fig5_curvature", _power),
    ),
    (
        "Figure 5, spectrum",
        "lambda_i <= lambda_1 D^(-d) for i > k, d > 1/2, k far below D",
        "the first 400 eigenvalues",
        _from("fig5_curvature", _spectrum),
    ),
    (
        "Covariance Sigma",
        "covariance of the mini-batch gradient",
        "from the disjoint batches of one shuffled epoch, ddof 1",
        _from("fig5_curvature", _batches),
    ),
    (
        "GLD const",
        "sigma tuned, 1e-3 on the gradient",
        "the same",
        _from("fig3_fashion_mnist", _constant),
    ),
    (
        "FashionMNIST training set",
        "1,000 clean images and 200 with random labels",
        "the first 6,000 images, labels 1000 to 1199 drawn anew",
        _from("fig3_fashion_mnist", _training_set),
    ),
    (
        "Figure 3, ends of the runs",
        "not stated",
        "not stated",
        _from("fig3_fashion_mnist", _ends),
    ),
    (
        "Figure 3, all differences of the dynamics",
        "the statements of the rows above",
        "batches drawn by epoch, Sigma from the batches of one epoch, and the rows above",
        _from("as_published", _as_published),
    ),
    (
        "Test accuracy of GD",
        "66.22 %",
        "near 70 % in a reader's re-implementation",
        _from("fig3_fashion_mnist", _gd_accuracy),
    ),
    (
        "Test accuracy of SGD",
        "rises above that of GD",
        "no rise in a reader's re-implementation",
        _from("fig3_fashion_mnist", _sgd_accuracy),
    ),
    (
        "Expected sharpness",
        "1,000 independent draws",
        "the same",
        _stated("pairs of opposite draws: the same expectation, a smaller error bar"),
    ),
    (
        "Figure 4, initial weights",
        "not stated",
        "uniform on (-1, 1)/sqrt(d)",
        _from("fig4_one_hidden_layer", _dead_networks),
    ),
)
