"""Cases of pickling: problems, curvature and noise."""

import numpy as np
from pickle_objects import (
    COVARIANCE,
    VECTOR,
    Case,
    bowl,
    gradient,
    network,
    product,
    product_and_trace,
    rows,
    squares,
    text,
)

from aniso import (
    closed_forms,
    networks,
)
from aniso.matrices import (
    curvatures_from_factors,
    eigenpairs,
    factored,
    indicators,
    krylov_space,
    noise,
    space_traces,
    spectral_density,
    structures,
)
from aniso.problems import (
    _plans,
    losses,
    two_basin,
)
from aniso.problems.autograd_model import AutogradModel
from aniso.problems.autograd_problem import AutogradProblem


def space_and_probes():
    space = krylov_space.leading_space(COVARIANCE, 1)
    return space, space_traces.draw_probes(COVARIANCE, space, 3, np.random.default_rng(0))


CURVATURE = {
    "autograd problem": Case(
        lambda: AutogradProblem(squares, rows(), np.ones(7)), lambda o: o.hessian(VECTOR)
    ),
    "quadratic problem": Case(bowl, lambda o: o.gradient(VECTOR)),
    "two-basin problem": Case(
        lambda: two_basin.two_basin_problem(rows()), lambda o: o.gradient(VECTOR)
    ),
    "autograd model": Case(
        lambda: AutogradModel(
            networks.multilayer_perceptron((2, 3, 2), "softplus"),
            losses.SquaredLoss(),
            rows(),
            rows(),
        ),
        gradient,
    ),
    "one hidden layer": Case(
        lambda: AutogradModel(
            networks.one_hidden_layer(2, 3, "leaky_relu"),
            losses.ClippedSquaredLoss(),
            rows(),
            np.arange(7) % 2,
        ),
        gradient,
    ),
    "local geometry": Case(lambda: bowl().at(VECTOR), lambda at: at.hessian @ at.gradient),
    "hessian operator": Case(lambda: bowl().at(VECTOR).hessian, product_and_trace),
    "gauss-newton operator": Case(
        lambda: (
            AutogradModel(
                networks.multilayer_perceptron((2, 2)), losses.SquaredLoss(), rows(), rows()
            )
            .at(np.ones(6))
            .gauss_newton
        ),
        product_and_trace,
    ),
    "network geometry": Case(
        lambda: network().at(np.cos(np.arange(network().num_parameters))),
        lambda at: at.hessian @ at.gradient,
    ),
    "gradient covariance": Case(
        lambda: noise.diffusion_covariance(
            noise.minibatch_covariance(noise.gradient_covariance(rows()), 2, replacement=True),
            0.1,
        ),
        product_and_trace,
    ),
    "dense covariance": Case(
        lambda: noise.gradient_covariance(rows()).to_dense(),
        lambda found: f"{found.convention} {found.trace()}",
    ),
    "sum of covariances": Case(
        lambda: noise.gradient_covariance(rows()).to_dense() + 1.0,
        lambda found: text(found.convention),
    ),
    "factored covariance": Case(
        lambda: factored.FactoredCovariance(rows(), 0.5), product_and_trace
    ),
    "diagonal covariance": Case(
        lambda: structures.diagonal_part(noise.gradient_covariance(rows())),
        product_and_trace,
    ),
    "leading part": Case(
        lambda: structures.leading_part(noise.gradient_covariance(rows()), 1),
        product_and_trace,
    ),
    "commutator": Case(lambda: indicators.Commutator(COVARIANCE, np.diag([1.0, 2.0])), product),
    "example curvatures": Case(
        lambda: curvatures_from_factors([VECTOR, VECTOR[::-1]]), lambda c: c.mean_product(VECTOR)
    ),
    "span of curvatures": Case(
        lambda: curvatures_from_factors([VECTOR]).span, lambda span: span.eigenvalues
    ),
    "stability threshold": Case(
        lambda: closed_forms.stability_threshold(
            curvatures_from_factors([VECTOR, VECTOR[::-1]]), 1, replacement=True
        ),
        lambda threshold: threshold.direction,
    ),
    "batch sharpness": Case(
        lambda: closed_forms.batch_sharpness_of_draws([1.0, 2.0], [1.0, 1.0]),
        lambda sharpness: sharpness.ratio_of_means.value,
    ),
    "eigenpairs": Case(lambda: eigenpairs.leading_eigenpairs(COVARIANCE, 1), lambda p: p.vectors),
    "block eigenpairs": Case(
        lambda: eigenpairs.leading_eigenpairs(COVARIANCE, 1, method="block"), lambda p: p.values
    ),
    "leading space": Case(
        lambda: krylov_space.leading_space(COVARIANCE, 1), lambda space: space.coupling
    ),
    "probes beyond a space": Case(lambda: space_and_probes()[1], lambda probes: probes.forms()),
    "alignment beyond a space": Case(
        lambda: space_traces.alignment_beyond(
            *space_and_probes(), COVARIANCE, [slice(0, len(COVARIANCE))]
        ),
        lambda found: found.samples,
    ),
    "spectral density": Case(
        lambda: spectral_density.lanczos_quadrature(
            COVARIANCE,
            num_probes=2,
            num_steps=2,
            rng=np.random.default_rng(0),
            points=[1.0],
            width=0.5,
        ),
        lambda d: d.values,
    ),
    "derivative check": Case(
        lambda: bowl().check(VECTOR, np.random.default_rng(0)), lambda report: text(report)
    ),
    "plan": Case(lambda: _plans.Plan("hessian_product", "loop", 5, 1, "none"), text),
}
