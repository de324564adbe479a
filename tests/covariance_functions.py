"""Public functions of a covariance, with what each makes of it as numbers."""

import numpy as np
import seeds

from aniso import frameworks, matrices
from aniso.closed_forms import batch_sharpness, chain, diffusion, heavy_ball, non_equilibrium
from aniso.closed_forms import underdamped as closed_underdamped
from aniso.escape import (
    efficiency,
    kramers,
    minimum_action,
    quasi_potential,
    simulation,
    two_basin_exit,
)
from aniso.frameworks import given_matrices
from aniso.langevin import (
    drifts,
    linear_chain,
    modified_equations,
    noises,
    regions,
    underdamped,
)
from aniso.matrices import (
    block_alignment,
    deflated_traces,
    estimated_blocks,
    estimated_indicators,
    indicators,
    stochastic_alignment,
    structures,
    subspaces,
)
from aniso.problems import quadratic

HESSIAN = np.array([[2.0, 0.5], [0.5, 1.0]])
START = [0.3, -0.2]


def dense(result):
    """Numbers of a result, for comparison between kinds."""
    if isinstance(result, (list, tuple)):
        return np.concatenate([np.ravel(dense(each)) for each in result])
    if hasattr(result, "to_dense"):
        result = result.to_dense()
    return np.asarray(result, dtype=float)


def problem_numbers(problem):
    return problem.noise.covariance


def both_exits(covariance):
    flat, ball = drifts.of_quadratic(np.zeros((2, 2))), regions.ball([0.0, 0.0], 0.8)
    both = simulation.simulate_chain_and_equation(
        flat, covariance, 0.1, START, ball, 1000.0, 40, seed=3
    )
    return [both.chain.mean.value, both.equation.mean.value]


def simulated(covariance):
    curve = efficiency.simulate_efficiency(
        HESSIAN, covariance, [0.5, 1.0], step_size=0.5, num_paths=64, seed=1
    )
    return curve.values


def given_alignment(covariance):
    known = matrices.convention_of(covariance) is not None
    convention = None if known else matrices.Convention(4)
    at = frameworks.from_matrices(HESSIAN, covariance=covariance, convention=convention)
    return at.by_block().alignment


def chain_moments(covariance):
    return linear_chain.simulate_linear_chain(HESSIAN, covariance, 0.1, [0, 3], 64, 1).covariance


def action(covariance):
    result = minimum_action.minimise_action(
        lambda x: -x, covariance, [0.0, 0.0], [1.0, 0.0], num_points=9
    )
    return result.action


def action_over_boundary(covariance):
    boundary = [[1.0, 0.0], [1.0, 0.5]]
    return minimum_action.exit_over_boundary(
        lambda x: -x, covariance, [0.0, 0.0], boundary, num_points=9
    ).action


def sharp_basin(covariance):
    return two_basin_exit.exit_from_sharp_basin(
        [[0.0, 0.0]], covariance, num_candidates=1, num_points=9
    ).action


def estimated(estimate, expected=None):
    """A function that is 0 where an unbiased estimate is right, whatever probes the kind allows."""

    def excess(covariance):
        found = estimate(covariance, seeds.generator(0))
        exact = dense(covariance @ np.eye(2))
        truth = np.sum(HESSIAN * exact) if expected is None else expected(HESSIAN, exact)
        return abs(found.value - truth) <= 5 * found.standard_error + 1e-9 * abs(truth)

    return excess


# public function -> what it makes of a covariance, as numbers; the stage that it needs
FUNCTIONS = {
    indicators.alignment: (lambda c: indicators.alignment(HESSIAN, c), None),
    block_alignment.alignment_by_block: (
        lambda c: (
            block_alignment.alignment_by_block(
                HESSIAN, c, {"a": slice(0, 1), "b": slice(1, 2)}
            ).alignments
        ),
        None,
    ),
    indicators.escape_rate: (lambda c: indicators.escape_rate(HESSIAN, c), "diffusion"),
    indicators.trace_ratio: (lambda c: indicators.trace_ratio(HESSIAN, c), None),
    indicators.projection_coefficient: (
        lambda c: indicators.projection_coefficient(HESSIAN, c),
        None,
    ),
    subspaces.captured_share: (lambda c: subspaces.captured_share(c, np.eye(2)[:, :1]), None),
    matrices.frobenius_alignment: (lambda c: matrices.frobenius_alignment(HESSIAN, c).cosine, None),
    matrices.cosine_alignment_hutchinson: (
        estimated(
            lambda c, rng: matrices.cosine_alignment_hutchinson(HESSIAN, c, 400, rng),
            lambda h, c: np.sum(h * c) / np.linalg.norm(h) / np.linalg.norm(c),
        ),
        None,
    ),
    matrices.leading_shares: (
        lambda c: matrices.leading_shares(START, c, matrices.leading_eigenpairs(HESSIAN, 1)).noise,
        None,
    ),
    matrices.expected_loss_change: (
        lambda c: matrices.expected_loss_change(START, HESSIAN, c, 0.1).total,
        "mini-batch",
    ),
    matrices.minibatch_regulariser: (
        lambda c: matrices.minibatch_regulariser(START, c, 0.1),
        "mini-batch",
    ),
    stochastic_alignment.alignment_hutchinson: (
        estimated(lambda c, rng: stochastic_alignment.alignment_hutchinson(HESSIAN, c, 400, rng)),
        None,
    ),
    stochastic_alignment.estimate_alignment: (
        estimated(lambda c, rng: stochastic_alignment.estimate_alignment(HESSIAN, c, rng)),
        None,
    ),
    deflated_traces.alignment_deflated: (
        estimated(
            lambda c, rng: deflated_traces.alignment_deflated(
                HESSIAN, c, rng, num_pairs=1, num_probes=400
            )
        ),
        None,
    ),
    estimated_blocks.estimate_alignment_by_block: (
        estimated(
            lambda c, rng: estimated_blocks.estimate_alignment_by_block(
                HESSIAN, c, rng, {"a": slice(0, 1), "b": slice(1, 2)}
            ).alignments[0],
            lambda h, c: h[0, 0] * c[0, 0],
        ),
        None,
    ),
    estimated_indicators.estimate_trace_ratio: (
        estimated(
            lambda c, rng: estimated_indicators.estimate_trace_ratio(HESSIAN, c, rng),
            lambda h, c: 2 * np.sum(h * c) / (np.trace(h) * np.trace(c)),
        ),
        None,
    ),
    estimated_indicators.estimate_projection_coefficient: (
        estimated(
            lambda c, rng: estimated_indicators.estimate_projection_coefficient(HESSIAN, c, rng),
            indicators.projection_coefficient,
        ),
        None,
    ),
    indicators.relative_commutator: (lambda c: indicators.relative_commutator(HESSIAN, c), None),
    indicators.Commutator: (lambda c: indicators.Commutator(HESSIAN, c) @ np.eye(2), None),
    structures.isotropic_equivalent: (structures.isotropic_equivalent, None),
    structures.diagonal_part: (structures.diagonal_part, None),
    structures.leading_part: (lambda c: structures.leading_part(c, 1), None),
    structures.hessian_part: (lambda c: structures.hessian_part(HESSIAN, c, 1), None),
    structures.hessian_magnitude_part: (
        lambda c: structures.hessian_magnitude_part(HESSIAN, c, 1),
        None,
    ),
    structures.optimal_noise: (lambda c: structures.optimal_noise(HESSIAN, c), None),
    diffusion.covariance_at: (
        lambda c: diffusion.covariance_at(HESSIAN, c, 1.0),
        "diffusion",
    ),
    diffusion.stationary_covariance: (
        lambda c: diffusion.stationary_covariance(HESSIAN, c),
        "diffusion",
    ),
    diffusion.escaping_efficiency: (
        lambda c: diffusion.escaping_efficiency(HESSIAN, c, [1.0]),
        "diffusion",
    ),
    diffusion.quadratic_model_time: (
        lambda c: diffusion.quadratic_model_time(HESSIAN, c),
        "diffusion",
    ),
    chain.chain_quadratic_model_steps: (
        lambda c: chain.chain_quadratic_model_steps(HESSIAN, c, 0.1),
        "mini-batch",
    ),
    diffusion.stationary_escaping_efficiency: (
        lambda c: diffusion.stationary_escaping_efficiency(HESSIAN, c),
        "diffusion",
    ),
    chain.chain_covariance_at: (
        lambda c: chain.chain_covariance_at(HESSIAN, c, 0.1, 5),
        "mini-batch",
    ),
    chain.chain_stationary_covariance: (
        lambda c: chain.chain_stationary_covariance(HESSIAN, c, 0.1),
        "mini-batch",
    ),
    chain.chain_escaping_efficiency: (
        lambda c: chain.chain_escaping_efficiency(HESSIAN, c, 0.1, [5]),
        "mini-batch",
    ),
    chain.chain_stationary_escaping_efficiency: (
        lambda c: chain.chain_stationary_escaping_efficiency(HESSIAN, c, 0.1),
        "mini-batch",
    ),
    batch_sharpness.batch_sharpness_with_shared_hessian: (
        lambda c: batch_sharpness.batch_sharpness_with_shared_hessian(HESSIAN, START, c),
        "mini-batch",
    ),
    heavy_ball.heavy_ball_stationary_covariance: (
        lambda c: heavy_ball.heavy_ball_stationary_covariance(HESSIAN, c, 0.1, 0.5),
        "mini-batch",
    ),
    heavy_ball.heavy_ball_covariance_at: (
        lambda c: heavy_ball.heavy_ball_covariance_at(HESSIAN, c, 0.1, 0.5, 3),
        "mini-batch",
    ),
    closed_underdamped.underdamped_stationary_covariance: (
        lambda c: closed_underdamped.underdamped_stationary_covariance(HESSIAN, c, 0.1, 0.5),
        "diffusion",
    ),
    closed_underdamped.underdamped_covariance_at: (
        lambda c: closed_underdamped.underdamped_covariance_at(HESSIAN, c, 0.1, 0.5, 0.3),
        "diffusion",
    ),
    non_equilibrium.entropy_production: (
        lambda c: non_equilibrium.entropy_production(HESSIAN, c),
        "diffusion",
    ),
    non_equilibrium.circulation: (lambda c: non_equilibrium.circulation(HESSIAN, c), "diffusion"),
    efficiency.efficiency_by_slope: (
        lambda c: efficiency.efficiency_by_slope(HESSIAN, c, [1.0]).values,
        "diffusion",
    ),
    efficiency.efficiency_by_closed_form: (
        lambda c: efficiency.efficiency_by_closed_form(HESSIAN, c, [1.0]).values,
        "diffusion",
    ),
    efficiency.simulate_efficiency: (simulated, "diffusion"),
    quasi_potential.quasi_potential_at: (
        lambda c: quasi_potential.quasi_potential_at(HESSIAN, c, START),
        "diffusion",
    ),
    quasi_potential.exit_through_level: (
        lambda c: quasi_potential.exit_through_level(HESSIAN, c, 1.0).value,
        "diffusion",
    ),
    quasi_potential.exit_from_ball: (
        lambda c: quasi_potential.exit_from_ball(HESSIAN, c, 1.0).value,
        "diffusion",
    ),
    quasi_potential.exit_through_plane: (
        lambda c: quasi_potential.exit_through_plane(HESSIAN, c, [1.0, 0.0], 1.0).value,
        "diffusion",
    ),
    kramers.eyring_kramers_time: (
        lambda c: kramers.eyring_kramers_time(np.eye(2), np.diag([-1.0, 1.0]), 2.0, c).value,
        "diffusion",
    ),
    given_matrices.from_matrices: (given_alignment, None),
    minimum_action.minimise_action: (action, "diffusion"),
    minimum_action.exit_over_boundary: (action_over_boundary, "diffusion"),
    two_basin_exit.exit_from_sharp_basin: (sharp_basin, "diffusion"),
    simulation.simulate_chain_and_equation: (both_exits, "mini-batch"),
    noises.constant: (lambda c: noises.constant(c).covariance, "diffusion"),
    modified_equations.first_order: (
        lambda c: problem_numbers(
            modified_equations.first_order(drifts.of_quadratic(HESSIAN), c, 0.1, START)
        ),
        "mini-batch",
    ),
    modified_equations.second_order: (
        lambda c: problem_numbers(
            modified_equations.second_order(drifts.of_quadratic(HESSIAN), c, 0.1, START)
        ),
        "mini-batch",
    ),
    underdamped.heavy_ball_equation: (
        lambda c: problem_numbers(
            underdamped.heavy_ball_equation(drifts.of_quadratic(HESSIAN), c, 0.1, 0.5, START)
        ),
        "mini-batch",
    ),
    linear_chain.simulate_linear_chain: (chain_moments, "mini-batch"),
    # its rows are any matrix's rows: their second moment is what was given
    quadratic.noise_rows: (
        lambda c: quadratic.noise_rows(c).T @ quadratic.noise_rows(c) / 4,
        "one example",
    ),
}
# isotropic noise alone, or that of a mini-batch alone, is meant by these
ISOTROPIC = {kramers.eyring_kramers_time}
# what takes a covariance, and why it does not take every kind
OTHERS = {
    "aniso.matrices.checked.checked_covariance": "returns what it is given, an array",
    "aniso.matrices.space_traces.alignment_beyond": "takes it with a space of the Hessian",
    "aniso.matrices.noise_power_law.noise_power_laws": "needs blocks of more entries",
    "aniso.matrices.noise.minibatch_covariance": "converts a convention, which an array has not",
    "aniso.matrices.noise.diffusion_covariance": "converts a convention, which an array has not",
    "aniso.closed_forms._eigenbasis.projected_variances": "behind the closed forms",
    "aniso.closed_forms._eigenbasis.rotated_covariance": "behind the closed forms",
    "aniso.matrices._factored_pairs.leading_pairs": "behind the factored covariances",
    "aniso.matrices._factored_pairs.gram_of": "behind the factored covariances",
    "aniso.matrices._trace_sources.exact_products": "behind the estimates",
    "aniso.matrices._trace_sources.source_of": "behind the estimates",
    "aniso.matrices.block_alignment.covering_blocks": "behind the parts by block",
    "aniso.matrices.deflated_traces.of_source": "behind the estimates",
    "aniso.matrices.indicators.projection_per_trace": "behind the coefficient",
    "aniso.langevin.covariance_factor.full": "behind the noises",
    "aniso.langevin.linear_schemes.moments_at": "moments of a state",
    "aniso.langevin.regions.margin": "behind the exits",
}
