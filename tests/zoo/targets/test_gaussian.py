"""The normal distribution as a target: energy, force, draws, and the matrices that are refused."""

from math import nan

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from zoo.core.random import RandomStream
from zoo.core.targets import negative_gradient
from zoo.specs.errors import InvalidValueError
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.targets.gaussian import Gaussian, row_by_row

SPEC = GaussianSpec(precision=((2.0, -0.7, 0.1), (-0.7, 0.5, 0.0), (0.1, 0.0, 3.0)))


def test_energy_is_the_quadratic_form() -> None:
    x = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])
    expected = (2 * 1 + 0.5 * 4 + 3 * 1) / 2 - 0.7 * 2 - 0.1
    assert Gaussian(SPEC).energy(x).tolist() == pytest.approx([expected, 0.0])


def test_force_is_the_negative_gradient() -> None:
    target, x = Gaussian(SPEC), RandomStream(1).normals(20, 3)
    assert torch.allclose(target.force(x), negative_gradient(target.energy, x), rtol=1e-12)
    h = 1e-5
    for axis in range(3):
        step = h * torch.eye(3, dtype=torch.float64)[axis]
        slope = (target.energy(x + step) - target.energy(x - step)) / (2 * h)
        assert torch.allclose(target.force(x)[:, axis], -slope, atol=1e-8)


@pytest.mark.parametrize("beta", [0.25, 1.0, 9.0])
def test_draws_have_the_covariance(beta: float) -> None:
    n = 40_000
    x = Gaussian(SPEC).draw(n, beta, RandomStream(3)).numpy()
    covariance = np.linalg.inv(SPEC.matrix) / beta
    sigma = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / n)
    assert np.abs((x.T @ x / n - covariance) / sigma).max() < 4.5
    assert np.abs(x.mean(0) / np.sqrt(np.diag(covariance) / n)).max() < 4.5
    assert np.abs((x.T @ x / n - np.diag(np.diag(covariance))) / sigma).max() > 20  # a diagonal one is told apart


def test_each_draw_depends_on_its_own_index_alone() -> None:
    target = Gaussian(SPEC)
    many = target.draw(100, 1.0, RandomStream(5))
    assert torch.equal(many[41:44], target.draw(3, 1.0, RandomStream(5).at(41)))
    assert not torch.equal(many, target.draw(100, 1.0, RandomStream(6)))
    with pytest.raises(InvalidValueError, match="beta"):
        target.draw(1, 0.0, RandomStream(5))


def test_row_by_row_is_the_matrix_product() -> None:
    a, b = RandomStream(1).normals(30, 17), RandomStream(2).normals(17, 5)
    assert torch.allclose(row_by_row(a, b), a @ b, rtol=1e-12, atol=1e-12)


def test_observables() -> None:
    target, x = Gaussian(SPEC), RandomStream(1).normals(5, 3)
    found = target.observables(x)
    assert torch.equal(found["energy"], target.energy(x))
    assert torch.allclose(found["squared_norm"], (x**2).sum(1))
    assert target.symmetries == {"z2"}


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        (((1.0, 0.0),), r"precision is not square: it has 1 rows, and precision\[0\] has 2"),
        (((1.0, 0.0), (0.0,)), r"precision is not square.*precision\[1\] has 1"),
        (((1.0, 0.5), (0.4, 1.0)), r"not symmetric: precision\[0\]\[1\] is 0.5, and precision\[1\]\[0\] is 0.4"),
        (((1.0, 2.0), (2.0, 1.0)), "smallest eigenvalue is -1"),
        (((1.0, 1.0), (1.0, 1.0)), "not positive definite"),
        (
            ((1e9, 0.0), (0.0, 1e-9)),
            r"go from 1e-09 to 1e\+09, and the condition number of 2 rows is at most 2.25e\+15",
        ),
        (((-1.0,),), "smallest eigenvalue is -1"),
        (((nan,),), "finite"),
        ((), "at least 1"),
    ],
)
def test_matrices_that_are_no_precision_are_refused(precision: tuple[tuple[float, ...], ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GaussianSpec(precision=precision)
