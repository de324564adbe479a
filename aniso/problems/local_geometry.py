"""The geometry of a problem at one theta: its gradient, its curvature and its gradient noise."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from aniso import checks, matrices
from aniso.problems import _members, _output_curvature

if TYPE_CHECKING:
    from aniso.matrices import (
        BlockAlignment,
        BlockAlignmentEstimate,
        ExampleCurvatures,
        ExampleGradients,
        GradientCovariance,
        SymmetricOperator,
        TraceEstimate,
    )
    from aniso.problems.problem import Problem
    from aniso.typing import Array, ArrayLike


DENSE_DIMENSION = 2000
"""Largest D whose Hessian is kept as an array once a quantity needs all of it."""

_USUAL_ERROR = 0.01
# vectors of one product of an estimate, and its error over that of its products
_VECTORS_TOGETHER = 8
_ERROR_OVER_PRODUCTS = 50


class LocalGeometry:
    """Gradient, curvature and gradient noise of a problem at one theta.

    It is made by :meth:`Problem.at`. Each quantity is computed at its first use, and kept. The
    matrices are SciPy linear operators of shape (D, D). They multiply vectors (D,) and blocks
    (D, K), and have `trace()`, `diagonal()`, `to_dense()` and `blocks`. All functions of
    :mod:`aniso.matrices` and SciPy's solvers take them.

    Parameters
    ----------
    problem : Problem
        Loss over the examples, and its derivatives.
    theta : array_like, shape (D,)
        Point in parameter space. It is copied, so later changes of the array have no effect.

    Attributes
    ----------
    problem : Problem
        Loss over the examples, and its derivatives.
    theta : ndarray, shape (D,)
        Read-only.

    Raises
    ------
    InputError
        If `problem` is no problem, or theta is not a finite vector of the right length. At a
        quantity, if a member of the problem returns an array of another shape than it should.

    Examples
    --------
    Two examples with l = (theta x)^2 / 2, x = 1 and 2: H is the mean of x^2, g_i = theta x^2.

    >>> from aniso.problems import AutogradProblem
    >>> def loss(theta, x, y):
    ...     return (theta[..., 0, None] * x) ** 2 / 2
    >>> at = AutogradProblem(loss, [1.0, 2.0], [0.0, 0.0]).at([1.0])
    >>> at.gradient, at.hessian.trace(), at.noise.trace()
    (array([2.5]), 2.5, 2.25)
    >>> at
    <AutogradProblem at theta: N = 2, D = 1, |gradient| = 2.5>
    """

    problem: Problem
    theta: Array

    def __init__(self, problem: Problem, theta: ArrayLike) -> None:
        if isinstance(problem, type) or not hasattr(problem, "check_theta"):
            raise checks.InputError(_members.not_a_problem("problem", problem))
        self.problem, self.theta = problem, checks.held(problem.check_theta(theta))

    @property
    def num_parameters(self) -> int:
        """D, the number of parameters."""
        return self.theta.shape[0]

    @property
    def blocks(self) -> dict[str, slice]:
        """Parts of theta by name, a dict of str to slice."""
        return self.problem.blocks or {"theta": slice(0, self.num_parameters)}

    # ---- first order

    @cached_property
    def loss(self) -> float:
        """Mean loss L, float."""
        return float(self.problem.loss(self.theta))

    @property
    def gradient(self) -> Array:
        """Gradient of the mean loss, shape (D,); a copy of the stored array."""
        return self._gradient.copy()

    @cached_property
    def _gradient(self):
        gradient = self.problem.gradient(self.theta)
        return _members.of_shape(self.problem, "gradient", gradient, "(D,)", self.theta.shape)

    @cached_property
    def example_gradients(self) -> ExampleGradients:
        """Gradients of the examples, a :class:`aniso.matrices.ExampleGradients`."""
        gradients = self.problem.example_gradients(self.theta)
        shape = self.problem.num_examples, self.num_parameters
        _members.of_shape(self.problem, "example_gradients", gradients, "(N, D)", shape)
        return matrices.example_gradients(gradients)

    # ---- noise

    @cached_property
    def noise(self) -> GradientCovariance:
        """Centred gradient covariance of one example, a :class:`aniso.matrices.GradientCovariance`.

        ``Sigma_1 = (1/N) sum_i (g_i - g)(g_i - g)^T``;
        :func:`aniso.matrices.minibatch_covariance` converts it to the covariance of a batch mean.
        """
        return matrices.gradient_covariance(self.example_gradients)

    @cached_property
    def empirical_fisher(self) -> GradientCovariance:
        """Uncentred second moment ``(1/N) sum_i g_i g_i^T`` of the gradients, the data's labels."""
        return matrices.empirical_fisher(self.example_gradients)

    # ---- curvature

    @cached_property
    def hessian(self) -> SymmetricOperator:
        """Hessian of the mean loss, an operator.

        Its trace, diagonal or dense form needs D products. Up to D = 2000 the matrix that they
        make is kept, and later products use it.
        """
        return _HessianOperator(self)

    @cached_property
    def _hessian_matrix(self):
        return checks.frozen(self.problem.hessian(self.theta))

    def hessian_for(self, num_vectors: int, tolerance: float) -> SymmetricOperator:  # noqa: ARG002
        """Hessian as an operator for a few products of limited accuracy.

        Parameters
        ----------
        num_vectors : int
            Number of vectors that each of a few products takes.
        tolerance : float
            Relative error that the products may have, for instance for an eigenvector.

        Returns
        -------
        matrices.SymmetricOperator
            Here :attr:`hessian`. Geometries with faster products of lower accuracy return those.
        """
        return self.hessian

    @cached_property
    def gauss_newton(self) -> SymmetricOperator:
        """Generalised Gauss-Newton matrix ``(1/N) sum_i J_i^T S_i J_i``, an operator.

        Raises
        ------
        MissingFaculty
            If the problem has no outputs.
        AllocationRefused
            If it is made of Jacobians that do not fit.
        """
        return _output_curvature.gauss_newton(self.problem, self.theta, self.blocks)

    @cached_property
    def fisher(self) -> SymmetricOperator:
        """Fisher matrix with labels drawn from the model's own distribution, an operator.

        Raises
        ------
        MissingFaculty
            If the problem has no outputs.
        AllocationRefused
            If it is made of Jacobians that do not fit.
        """
        return _output_curvature.fisher(self.problem, self.theta, self.blocks)

    @cached_property
    def example_curvatures(self) -> ExampleCurvatures:
        """Gauss-Newton matrices ``J_i^T S_i J_i`` of the examples, for the stability of SGD.

        At a minimum with the loss zero they are the Hessians of the examples.
        :func:`aniso.closed_forms.stability_threshold` takes them.

        Returns
        -------
        matrices.ExampleCurvatures

        Raises
        ------
        MissingFaculty
            If the problem has no outputs.
        AllocationRefused
            If the Jacobians, 8 N C D bytes, do not fit.
        """
        return _output_curvature.example_curvatures(self.problem, self.theta)

    # ---- both

    def by_block(self) -> BlockAlignment:
        """Return traces, alignment and trace ratio of every block of theta, and of the whole.

        Returns
        -------
        matrices.BlockAlignment

        Notes
        -----
        D Hessian products, once; for more than 2000 parameters N products for each block if these
        are fewer.
        """
        small = self.num_parameters <= DENSE_DIMENSION
        hessian = self.hessian.to_dense() if small else self.hessian
        return matrices.alignment_by_block(hessian, self.noise, self.blocks)

    def estimate_alignment(
        self,
        rng: np.random.Generator,
        *,
        method: Literal["deflated", "hutchinson", "examples"] = "deflated",
        relative_error: float | None = None,
        num_products: int | None = None,
    ) -> TraceEstimate:
        """Estimate ``Tr(H Sigma_1)``, by default with leading directions of the noise deflated.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the random numbers.
        method : {"deflated", "hutchinson", "examples"}
        relative_error : float, optional
            Standard error over \\|value\\| to reach; 0.01 if `num_products` is not given either.
        num_products : int, optional
            Products of H instead of a target.

        Returns
        -------
        matrices.TraceEstimate
            For the noise of one example; :func:`aniso.matrices.minibatch_scale` is the factor to
            that of a batch.

        Raises
        ------
        InputError, NotConverged
            As :func:`aniso.matrices.estimate_alignment`.

        Notes
        -----
        Some twenty Hessian products for 1 % on the networks measured, where :meth:`by_block` takes
        N or D. They come from :meth:`hessian_for`, at a fiftieth of the relative error.

        Examples
        --------
        >>> from aniso.problems import AutogradProblem
        >>> def loss(theta, x, y):
        ...     return (theta[..., 0, None] * x) ** 2 / 2
        >>> at = AutogradProblem(loss, [1.0, 2.0], [0.0, 0.0]).at([1.0])
        >>> round(at.estimate_alignment(np.random.default_rng(0)).value, 12)  # 2.5 * 2.25
        5.625
        """
        return matrices.estimate_alignment(
            self._hessian_within(0.0 if num_products is not None else relative_error),
            self.noise,
            rng,
            method=method,
            relative_error=relative_error,
            num_products=num_products,
        )

    def estimate_by_block(
        self, rng: np.random.Generator, *, relative_error: float = 0.01
    ) -> BlockAlignmentEstimate:
        """Estimate ``Tr(H Sigma_1)`` and its parts and shares by block of theta.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the random signs.
        relative_error : float
            Standard error of every number over ``|Tr(H Sigma_1)|`` to reach.

        Returns
        -------
        matrices.BlockAlignmentEstimate

        Raises
        ------
        InputError, NotConverged
            As :func:`aniso.matrices.estimate_alignment_by_block`.
        """
        return matrices.estimate_alignment_by_block(
            self._hessian_within(relative_error),
            self.noise,
            rng,
            self.blocks,
            relative_error=relative_error,
        )

    def _hessian_within(self, relative_error):
        # an estimate to 1 % needs no sixteen digits of its products
        relative_error = _USUAL_ERROR if relative_error is None else relative_error
        checked = checks.number("relative_error", relative_error, low=0)
        return self.hessian_for(_VECTORS_TOGETHER, checked / _ERROR_OVER_PRODUCTS)

    def __repr__(self):
        kind = type(self.problem).__name__
        text = f"<{kind} at theta: N = {self.problem.num_examples}, D = {self.num_parameters}"
        if "loss" in self.__dict__:
            text += f", loss = {self.loss:.6g}"
        if "_gradient" in self.__dict__:
            text += f", |gradient| = {float(np.linalg.norm(self._gradient)):.6g}"
        return text + ">"


class _HessianOperator(matrices.SymmetricOperator):
    """Hessian of a geometry; for few parameters the whole matrix is kept after its first use."""

    def __init__(self, geometry):
        self._geometry, size = geometry, geometry.num_parameters
        self._is_small = size <= DENSE_DIMENSION
        diagonal = self._kept_diagonal if self._is_small else None
        blocks, dtype = geometry.blocks, geometry.problem.dtype
        super().__init__(self._columns, size, dtype, diagonal, blocks=blocks)

    def _columns(self, vectors):
        geometry = self._geometry
        if "_hessian_matrix" in geometry.__dict__:
            return geometry._hessian_matrix @ vectors
        product = geometry.problem.hessian_product(geometry.theta, vectors)
        shape = vectors.shape
        return _members.of_shape(geometry.problem, "hessian_product", product, "(D, K)", shape)

    def _kept_diagonal(self):
        return self._geometry._hessian_matrix.diagonal().copy()

    def to_dense(self):
        """H as an array, shape (D, D), symmetric to the last bit.

        Raises
        ------
        AllocationRefused
            If the matrix does not fit.
        """
        if self._is_small:
            return self._geometry._hessian_matrix.copy()
        return self._geometry.problem.hessian(self._geometry.theta)
