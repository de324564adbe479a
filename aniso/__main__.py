"""The command ``python -m aniso``: the commands, the packages, and where to start."""

import sys

from aniso import __version__

OVERVIEW = f"""\
aniso {__version__}: the anisotropic noise of stochastic gradient descent

Commands
  python -m aniso.diagnose              measure curvature and noise of a problem
  python -m aniso.verify_propositions   check the theory in numbers (see --help)
  python -m aniso.propositions.plots    draw the figures of a stored check

Packages, in the order of their imports
  aniso.arrays         NumPy, PyTorch, CuPy and strict arrays
  aniso.runs           run directories, executors, interruptions
  aniso.datasets       FashionMNIST, CIFAR-10, SVHN
  aniso.matrices       Hessian and gradient covariance: alignment, spectra
  aniso.closed_forms   moments of SGD on a quadratic loss; its stability
  aniso.problems       losses, and problems of your own
  aniso.networks       layer networks with exact curvature and gradient noise
  aniso.frameworks     models and losses of PyTorch and other frameworks
  aniso.langevin       simulated ensembles of stochastic motion
  aniso.escape         escaping efficiency, exit times, forecasts of escape
  aniso.descent        SGD and gradient Langevin dynamics in one loop
  aniso.propositions   Definition 1 and Propositions 1 to 3 as checks
  aniso.diagnostics    every quantity of a problem at one theta, with errors

Where to start
  help(aniso)             conventions and names
  help(aniso.problems)    a loss of your own, its curvature and its noise
  docs/README.md          pages by question, and the theory
"""


def main():
    """Print the overview.

    Returns
    -------
    int
        0.
    """
    sys.stdout.reconfigure(errors="replace")
    print(OVERVIEW, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
