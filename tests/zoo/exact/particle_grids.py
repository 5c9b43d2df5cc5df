"""Sums over grids of the energies of one to three particles: the second route to their free energies."""

from math import log, prod

import numpy as np
import torch

from zoo.catalog import build_target
from zoo.exact.cumulants import Cumulants
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.targets.coulomb_gas import CoulombGas


def by_grid(spec: TargetSpec, beta: float, half_width: float, points: int) -> Cumulants:
    """Of x_1 = -x_2 = y, from the target's energy on a grid of y in a cube: no reduction to a distance.

    The measure of the relative vector r = 2 y is 2^d d^d y; centred pairs have 2^(d/2) d^d y.
    """
    target, d = build_target(spec), spec.space.event_shape[1]
    step = 2 * half_width / points
    axis = -half_width + step * (torch.arange(points, dtype=torch.float64) + 0.5)
    y = torch.cartesian_prod(*[axis] * d).reshape(-1, 1, d)
    u = beta * target.energy(torch.cat([y, -y], 1))
    p = torch.softmax(-u, 0)
    mean = float((p * u).sum())
    log_z = float(torch.logsumexp(-u, 0)) + d * log(step) + d * log(2) / (2 if spec.space.centered else 1)
    return Cumulants(log_z, mean, float((p * (u - mean) ** 2).sum()))


def by_box_grid(spec: TargetSpec, beta: float, points: int) -> Cumulants:
    """Of two particles in a periodic box, from the target's energy on a grid of their relative vector in the box."""
    target, sides = build_target(spec), spec.space.box or ()
    d = len(sides)
    axes = [side * ((torch.arange(points, dtype=torch.float64) + 0.5) / points - 0.5) for side in sides]
    r = torch.cartesian_prod(*axes).reshape(-1, 1, d)
    u = beta * target.energy(torch.cat([torch.zeros_like(r), r], 1))
    p = torch.softmax(-u, 0)
    mean = float((p * u).sum())
    log_z = float(torch.logsumexp(-u, 0)) + 2 * log(prod(sides)) - d * log(points)
    return Cumulants(log_z, mean, float((p * (u - mean) ** 2).sum()))


def by_four_coordinates(spec: CoulombGasSpec, beta: float, half_width: float, points: int) -> float:
    """Ln Z from the target's energy on a grid of both particles in the plane, neither of them reduced away."""
    step = 2 * half_width / points
    axis = -half_width + step * (torch.arange(points, dtype=torch.float64) + 0.5)
    x = torch.cartesian_prod(*[axis + step * shift for shift in (0, 0, 0.5, 0.5)])  # particles never meet
    return float(torch.logsumexp(-beta * CoulombGas(spec).energy(x.reshape(-1, 2, 2)), 0)) + 4 * log(step)


def gas(n: int, trap: float = 2.0, beta: float = 1.0) -> CoulombGasSpec:
    return CoulombGasSpec(n=n, trap=trap, beta=beta, interaction="logarithmic", charge_squared=2.0 / beta)


def by_cubature(spec: CoulombGasSpec) -> tuple[float, float]:
    """Z and the integral of sum_i |x_i|^4 over Z, from the target's own energy.

    exp(-beta E) is exp(-beta k/2 |x|^2) times a polynomial of degree 2 (n-1) in each coordinate, so that a
    Gauss-Hermite rule of n + 2 nodes for each coordinate has no error, also for that polynomial times |x|^4.
    """
    nodes, weights = np.polynomial.hermite.hermgauss(spec.n + 2)
    unit = (2 / (spec.beta * spec.trap)) ** 0.5
    grid = np.stack(np.meshgrid(*[nodes] * (2 * spec.n), indexing="ij"), -1).reshape(-1, spec.n, 2)
    each = np.stack(np.meshgrid(*[np.log(weights)] * (2 * spec.n), indexing="ij"), -1)
    log_weight = each.reshape(len(grid), -1).sum(1)
    x = torch.from_numpy(unit * grid)
    exponent = -spec.beta * CoulombGas(spec).energy(x).numpy() + (grid**2).sum((1, 2))
    terms = np.exp(exponent + log_weight + 2 * spec.n * log(unit))
    fourth = CoulombGas(spec).observables(x)["sum_r_fourth"].numpy()
    return float(terms.sum()), float((terms * fourth).sum() / terms.sum())
