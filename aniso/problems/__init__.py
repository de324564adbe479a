"""What is minimised: losses, models in plain NumPy for autograd, and toy problems."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "activations",
        "autograd_problem",
        "curvature",
        "derivative_check",
        "link_functions",
        "losses",
        "model_objective",
        "multilayer_perceptron",
        "one_hidden_layer",
        "output_curvature",
        "plain_layers",
        "problem_checks",
        "quadratic",
        "two_basin",
    ],
    submod_attrs={
        "autograd_problem": ["Objective"],
        "losses": ["ClippedSquaredLoss", "LogisticLoss", "SoftmaxCrossEntropy"],
        "model_objective": ["ModelObjective"],
        "multilayer_perceptron": ["MultilayerPerceptron"],
        "one_hidden_layer": ["OneHiddenLayer"],
        "problem_checks": ["LossFailed"],
        "two_basin": ["two_basin_data", "two_basin_objective"],
    },
)
