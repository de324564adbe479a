r"""
Escaping a double well with mini-batches
========================================

Data with two clusters and a robust loss make a double well. When does mini-batch SGD leave one well
for the other? The chain itself is simulated, and compared with the stochastic differential equation
that has its first two moments.
"""

# %%
# The gradient of one example is compiled. It works on a panel of chains, a column each.
import matplotlib.pyplot as plt
import numba
import numpy as np
from scipy.stats import norm

from aniso import escape
from aniso.escape import quadrature
from aniso.langevin import example_sets, regions

cluster = 0.5 * norm.ppf((np.arange(50) + 0.5) / 50) - 1.5
data = np.concatenate([cluster, -cluster])


@numba.njit
def robust(theta, index, data, out):
    for lane in range(theta.shape[1]):
        distance = theta[0, lane] - data[index[lane]]
        out[0, lane] = distance * np.exp(-0.5 * distance**2)


examples = example_sets.custom(robust, 100, 1, parameters=data)
minimum, well = -1.40005743, regions.interval(-5.0, 0.0)


def gradients(theta):
    distance = np.subtract.outer(theta, data)
    return distance * np.exp(-0.5 * distance**2)


def drift(theta):
    return -gradients(theta).mean(axis=-1)


# %%
# Both exit times grow like an exponential of one over the learning rate. The chain stays longer:
# a rare exit depends on the whole law of the batch, and the equation knows two moments.
rates = np.array([0.4, 0.5, 0.6, 0.8, 1.0])
chain, equation = [], []
for rate in rates:
    found = escape.simulate_sgd_mean_exit_time(
        examples, well, rate, 1, "with_replacement", [minimum], 20000.0, 2000, seed=1
    )
    chain.append(found.mean)
    exact = quadrature.mean_exit_time(
        drift,
        lambda theta, rate=rate: rate * gradients(theta).var(axis=-1),
        minimum,
        -5.0,
        0.0,
    )
    equation.append(exact.value)
    print(f"learning rate {rate}: chain {chain[-1]}, equation {exact.value:.1f}")

# %%
# The double well, and the two times.
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
position = np.linspace(-3.2, 3.2, 400)
wells = 1 - np.exp(-0.5 * np.subtract.outer(position, data) ** 2)
left.plot(position, wells.mean(axis=-1), color="black")
left.axvspan(position[0], 0, color="#56B4E9", alpha=0.2)
left.plot(minimum, (1 - np.exp(-0.5 * (minimum - data) ** 2)).mean(), "o", color="#D55E00")
left.set(xlabel="θ", ylabel="loss", title="loss, start and region")
values, errors = (np.array([getattr(c, n) for c in chain]) for n in ("value", "standard_error"))
right.errorbar(
    1 / rates, values, 2 * errors, fmt="o", capsize=3, color="#D55E00", label="SGD, simulated"
)
right.plot(1 / rates, equation, "-", color="#0072B2", label="equation, exact")
right.set(yscale="log", xlabel="1 / learning rate", ylabel="steps × learning rate")
right.set_title("mean exit time: SGD and its equation")
_ = right.legend()
