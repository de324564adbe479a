r"""
Where Tr(HΣ) misleads
=====================

:math:`\tfrac12 \mathrm{Tr}(H\Sigma)` is the slope of the expected loss at time 0. It does not
always tell which noise leaves a region first: that also depends on the region. Three noises of one
trace leave a sublevel set of the loss, and a ball.
"""

# %%
# A quadratic loss with the curvatures 4, 1 and 0.2.
import matplotlib.pyplot as plt
import numpy as np

from aniso import escape, langevin, matrices
from aniso.langevin import drifts, noises, regions

hessian = np.diag([4.0, 1.0, 0.2])
covariances = {
    "along the sharpest direction": np.diag([0.6, 0.0, 0.0]) + 1e-4 * np.eye(3),
    "proportional to H": 0.6 * hessian / 5.2,
    "isotropic": 0.2 * np.eye(3),
}

# %%
# Mean exit times of the equation, with errors of sampling and of the step.
places = {
    "sublevel set L < 0.5": regions.sublevel_set(hessian, 0.5),
    "ball of radius 1.2": regions.ball(np.zeros(3), 1.2),
}
times = {}
for name, covariance in covariances.items():
    problem = langevin.LangevinProblem(
        drifts.of_quadratic(hessian), noises.constant(covariance), np.zeros(3)
    )
    for place, region in places.items():
        found = escape.simulate_mean_exit_time(problem, region, 0.02, 4000.0, 400, seed=1)
        times[name, place] = found.mean

# %%
# The order of the slopes is the order of the exits from the sublevel set. From the ball the exits
# come in the opposite order: noise along the sharpest direction is held back most.
figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for axes, place in zip(panels, places, strict=True):
    for (name, covariance), colour in zip(
        covariances.items(), ("#D55E00", "#E69F00", "#0072B2"), strict=True
    ):
        mean = times[name, place]
        if mean is None:
            print(f"{name}, {place}: too few exits before the horizon")
            continue
        slope = matrices.alignment(hessian, covariance) / 2
        axes.errorbar(
            slope, mean.value, 2 * mean.combined_error, fmt="o", capsize=3, color=colour, label=name
        )
    axes.set(yscale="log", xlabel="slope Tr(HΣ)/2", ylabel="mean exit time")
    axes.set_title(f"exit from the {place}")
_ = panels[0].legend(title="noise")
