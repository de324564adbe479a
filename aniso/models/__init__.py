"""Models and toy problems: what the loss is a loss of.

Networks are frozen dataclasses with ``num_inputs``, ``num_outputs``, ``num_parameters``,
``linear_almost_everywhere``, ``initial_parameters(rng)``, ``outputs(theta, inputs)`` and, for the
fast paths of :class:`aniso.model_objective.ModelObjective`, ``layer_shapes`` and
``layered_outputs(theta, inputs, perturbations)``. The toys are made by
``quadratic_objective`` and ``two_basin_objective``.
"""
