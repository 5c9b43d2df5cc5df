"""The systems whose exact references are confirmed by a second route, and that route for each."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, lgamma, log, pi
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from scipy.integrate import quad

from tests.zoo.exact.particle_grids import by_box_grid, by_grid
from zoo.catalog import AnyTarget, build_target
from zoo.exact.circle_convolution import log_power_sum
from zoo.exact.phi4_quadrature import phi4_quadrature_log_z
from zoo.exact.transfer_matrix import strip_cumulants
from zoo.specs.targets.base import TargetSpec

Route = Callable[[TargetSpec], float]

_TARGETS: TypeAdapter[TargetSpec] = TypeAdapter(AnyTarget)


@dataclass(frozen=True)
class Axis:
    """One coordinate of a midpoint rule: ``points`` nodes between ``low`` and ``high``."""

    points: int
    low: float
    high: float


@dataclass(frozen=True)
class Case:
    """A system, the name of its second route, and that route: a function, or the axes of a midpoint rule."""

    system: dict[str, Any]
    route: str = "sum over all configurations"
    axes: tuple[Axis, ...] = ()
    closed_form: Route | None = None
    tolerance: float = 1e-9

    @property
    def spec(self) -> TargetSpec:
        """The system as a spec."""
        return _TARGETS.validate_python(self.system)


def _strip(width: int, length: int, beta: float) -> Route:
    return lambda _: -strip_cumulants(width, length, beta, 0.0, periodic=True).log_z


def _line(points: int, low: float, high: float, number: int = 1) -> tuple[Axis, ...]:
    return (Axis(points, low, high),) * number


def _circles(points: int, number: int) -> tuple[Axis, ...]:
    return (Axis(points, -pi, pi),) * number


def _given(beta_f: float) -> Route:
    """A published number: it confirms route 1 without being computed here."""
    return lambda _: beta_f


def _moment_determinant(n: int, trap_beta: float) -> Route:
    """Z = n! det M with M_jk = integral z^j conj(z)^k exp(-trap_beta |z|^2 / 2) d^2z, by a product rule in the plane.

    |prod_{i<j} (z_i - z_j)|^2 is the square modulus of a Vandermonde determinant (Andreief's identity).  In polar
    coordinates the angle gives 2 pi delta_jk; here it is left to the product rule, so that nothing is assumed.
    """

    def beta_f(_: TargetSpec) -> float:
        x, w = np.polynomial.legendre.leggauss(160)
        half = 12 / trap_beta**0.5
        z = half * (x[:, None] + 1j * x[None, :])
        weight = half**2 * np.outer(w, w) * np.exp(-trap_beta * np.abs(z) ** 2 / 2)
        powers = np.stack([z**j / exp(lgamma(j + 1) / 2) for j in range(n)]).reshape(n, -1)
        moments = (powers * weight.reshape(-1)) @ powers.conj().T
        scale = sum(lgamma(j + 1) for j in range(n))
        return -(lgamma(n + 1) + float(np.linalg.slogdet(moments)[1]) + scale)

    return beta_f


def _two_charges(dimension: int, trap: float, beta: float, charge_squared: float) -> Route:
    """Two charges, E = k R^2 + k r^2 / 4 + q^2 / r: centre of mass closed, distance by an adaptive quadrature."""

    def beta_f(_: TargetSpec) -> float:
        def density(r: float) -> float:
            area = 2 * pi * r if dimension == 2 else 4 * pi * r * r
            return area * exp(-beta * (trap * r * r / 4 + charge_squared / r)) if r > 0 else 0.0

        radial, _error = quad(density, 0, inf, epsabs=0, epsrel=1e-12, limit=500)
        return -(dimension / 2 * log(pi / (beta * trap)) + log(radial))

    return beta_f


def _two_vectors(heights: int, angles: int) -> Route:
    """Two unit vectors of three components: Gauss's rule of the heights, even angles, energies of the target itself."""

    def beta_f(spec: TargetSpec) -> float:
        h, w = np.polynomial.legendre.leggauss(heights)
        phi = 2 * pi * np.arange(angles) / angles
        r = np.sqrt(1 - h * h)[:, None]
        s = np.stack([r * np.cos(phi), r * np.sin(phi), np.broadcast_to(h[:, None], (heights, angles))], -1)
        s, weight = s.reshape(-1, 3), np.repeat(w, angles) * 2 * pi / angles
        pairs = np.stack([np.repeat(s, len(s), 0), np.tile(s, (len(s), 1))], 1)
        energy = build_target(spec).energy(torch.from_numpy(pairs)).numpy()
        return -log(float((np.outer(weight, weight).reshape(-1) * np.exp(-spec.beta * energy)).sum()))

    return beta_f


def _grid_of_pair(half_width: float, points: int) -> Route:
    return lambda spec: -by_grid(spec, spec.beta, half_width, points).log_z


def _grid_of_box(points: int) -> Route:
    return lambda spec: -by_box_grid(spec, spec.beta, points).log_z


BETA_C = 0.4406867935097715
_SK = {"kind": "sherrington_kirkpatrick", "n": 20, "seed": 0}
_GAUSSIAN = [[2.0, 0.5, 0.0], [0.5, 1.0, -0.3], [0.0, -0.3, 1.5]]

SPIN_CASES = (
    Case({"kind": "ising", "shape": [12], "beta": 0.7, "h": 0.3}),
    Case({"kind": "ising", "shape": [4, 4], "beta": 0.3}),
    Case({"kind": "ising", "shape": [4, 4], "beta": 0.6}),
    Case({"kind": "ising", "shape": [8, 8], "beta": 0.3}, "transfer matrix of rows", (), _strip(8, 8, 0.3)),
    Case({"kind": "ising", "shape": [8, 8], "beta": BETA_C}, "transfer matrix of rows", (), _strip(8, 8, BETA_C)),
    Case({"kind": "ising", "shape": [8, 8], "beta": 0.6}, "transfer matrix of rows", (), _strip(8, 8, 0.6)),
    Case({"kind": "ising", "shape": [10, 16], "beta": 0.6}, "transfer matrix of rows", (), _strip(10, 16, 0.6)),
    Case({"kind": "ising", "shape": [16, 16], "beta": 0.6}, "published value", (), _given(-310.487038590), 1e-8),
    Case({"kind": "ising", "shape": [4, 4], "beta": 0.4, "J": -1, "h": 0.5, "periodic": False}),
    Case({"kind": "ising", "lattice": "triangular", "shape": [4, 4], "beta": 0.25}),
    Case({"kind": "ising", "lattice": "triangular", "shape": [4, 5], "beta": 0.4, "J": -1}),
    Case({"kind": "ising", "shape": [2, 2, 4], "beta": 0.22}),
    *(
        Case({"kind": "spin_glass", "couplings": _SK, "beta": beta}, "published value", (), _given(-log_z), 1e-9)
        for beta, log_z in ((0.5, 14.923632187), (1, 17.8833336719), (2, 27.0605921864))
    ),
    Case({"kind": "spin_glass", "couplings": _SK | {"n": 18, "seed": 4}, "beta": 1.5}),
    Case({"kind": "spin_glass", "couplings": {"kind": "edwards_anderson", "shape": [4, 5], "seed": 1}, "beta": 1.2}),
    Case(
        {
            "kind": "spin_glass",
            "couplings": {
                "kind": "edwards_anderson",
                "shape": [3, 6],
                "seed": 2,
                "distribution": "pm1",
                "periodic": False,
            },
            "beta": 0.8,
        }
    ),
    Case({"kind": "hopfield", "n": 16, "patterns": 2, "seed": 3, "beta": 1.5}),
    Case({"kind": "hopfield", "n": 20, "patterns": 3, "seed": 3, "beta": 0.5}),
    Case({"kind": "potts", "shape": [9], "q": 4, "beta": 0.9}),
    Case({"kind": "potts", "shape": [3, 4], "q": 3, "beta": 0.7}),
    Case({"kind": "potts", "shape": [3, 4], "q": 3, "beta": 1.3}),
    Case({"kind": "bars_and_stripes", "shape": [4, 4]}),
    Case({"kind": "bitstrings", "qubits": 10, "depth": 8, "seed": 1}),
    Case({"kind": "bitstrings", "qubits": 10, "depth": 8, "seed": 1, "beta": 0.5}),
)

FIELD_CASES = (
    Case({"kind": "gaussian", "precision": _GAUSSIAN}, "midpoint rule", _line(60, -12, 12, 3)),
    Case({"kind": "coupled_oscillators", "n": 3, "ends": "fixed"}, "midpoint rule", _line(60, -12, 12, 3)),
    Case(
        {"kind": "coupled_oscillators", "n": 4, "periodic": True, "onsite": 0.5, "beta": 2},
        "midpoint rule",
        _line(56, -7, 7, 4),
    ),
    Case({"kind": "coupled_oscillators", "n": 16, "ends": "fixed"}, "published value", (), _given(-13.286409859), 1e-8),
    Case(
        {"kind": "coupled_oscillators", "n": 16, "ends": "fixed", "momenta": True},
        "published value",
        (),
        _given(-27.989426390),
        1e-8,
    ),
    Case({"kind": "double_well", "c": 0.3, "beta": 2}, "midpoint rule", (Axis(160, -4, 4), Axis(60, -7, 7))),
    Case({"kind": "mueller_brown"}, "midpoint rule", (Axis(500, -4, 3.5), Axis(500, -3, 4.5))),
    Case({"kind": "gaussian_mixture"}, "midpoint rule", _line(300, -9, 9, 2)),
    Case({"kind": "gaussian_mixture", "beta": 0.5}, "midpoint rule", _line(300, -12, 12, 2)),
    Case({"kind": "ring"}, "midpoint rule", _line(1600, -6, 6, 2), None, 1e-6),
    Case({"kind": "phi4", "shape": [1], "mass_squared": -4, "coupling": 8}, "midpoint rule", _line(120, -4, 4)),
    Case({"kind": "phi4", "shape": [3], "mass_squared": -1, "coupling": 1}, "midpoint rule", _line(80, -4, 4, 3)),
    Case(
        {"kind": "phi4", "shape": [2, 2], "mass_squared": -4, "coupling": 8}, "midpoint rule", _line(44, -2.6, 2.6, 4)
    ),
    Case(
        {"kind": "phi4", "shape": [4, 4], "mass_squared": -4, "coupling": 8},
        "published value",
        (),
        _given(-2.405139),
        6e-7,
    ),
    Case(
        {"kind": "phi4", "shape": [4, 4], "mass_squared": -4, "coupling": 8},
        "Gauss rule of the weight of each site, 12 nodes",
        (),
        lambda spec: -phi4_quadrature_log_z(-4.0, 8.0, (4, 4), 12),
    ),
    Case(
        {"kind": "phi4", "shape": [4, 4], "mass_squared": -4, "coupling": 5},
        "Gauss rule of the weight of each site, 12 nodes",
        (),
        lambda spec: -phi4_quadrature_log_z(-4.0, 5.0, (4, 4), 12),
    ),
    Case(
        {"kind": "phi4", "shape": [50], "mass_squared": -4, "coupling": 8},
        "Gauss rule of the weight of each site, 20 nodes",
        (),
        lambda spec: -phi4_quadrature_log_z(-4.0, 8.0, (50,), 20),
    ),
    Case({"kind": "phi4", "shape": [2, 2], "mass_squared": 1, "coupling": 0}, "midpoint rule", _line(60, -5.2, 5.2, 4)),
    Case(
        {"kind": "phi4", "shape": [8, 8], "mass_squared": 1, "coupling": 0},
        "published value",
        (),
        _given(11.62288525733),
    ),
    Case({"kind": "dual_ising", "shape": [1, 2], "beta": 0.3}, "midpoint rule", _line(400, -16, 16, 2)),
    Case(
        {"kind": "dual_ising", "shape": [8, 8], "beta": BETA_C},
        "published value",
        (),
        _given(64 * -2.3227346293905),
        1e-9,
    ),
    Case(
        {"kind": "dual_ising", "shape": [16, 16], "beta": BETA_C},
        "published value",
        (),
        _given(256 * -2.3159208588187),
        1e-8,
    ),
    Case({"kind": "u1_gauge", "shape": [1, 2], "beta": 1.5}, "midpoint rule", _circles(32, 4)),
    Case({"kind": "u1_gauge", "shape": [8, 8], "beta": 2}, "published value", (), _given(-287.983851155), 1e-8),
    Case(
        {"kind": "u1_gauge", "shape": [8, 8], "beta": 2},
        "convolution of plaquette angles on a grid of the circle",
        (),
        lambda spec: -log_power_sum(2.0, 64) - 128 * log(2 * pi),
    ),
    Case(
        {"kind": "xy", "shape": [64]},
        "convolution of bond angles on a grid of the circle",
        (),
        lambda spec: -log_power_sum(1.0, 64) - 64 * log(2 * pi),
    ),
    Case({"kind": "xy", "shape": [4], "beta": 1.5}, "midpoint rule", _circles(40, 4)),
    Case({"kind": "xy", "shape": [4], "beta": 0.5, "periodic": False}, "midpoint rule", _circles(40, 4)),
    *(
        Case(
            {"kind": "vector_spins", "shape": [2], **parameters},
            "Gauss's rule on two spheres",
            (),
            _two_vectors(24, 32),
        )
        for parameters in ({"beta": 1.4}, {"beta": 0.9, "periodic": False}, {"beta": 1.5, "J": 0.0, "h": 0.8})
    ),
    Case(
        {"kind": "vector_spins", "shape": [64], "components": 2},
        "convolution of bond angles on a grid of the circle",
        (),
        lambda spec: -log_power_sum(1.0, 64) - 64 * log(2 * pi),
    ),
)

_LOGARITHMIC = {"kind": "coulomb_gas", "interaction": "logarithmic", "trap": 2, "charge_squared": 2}
_INVERSE = {"kind": "coulomb_gas", "n": 2, "interaction": "inverse", "trap": 2}

PARTICLE_CASES = (
    Case(_LOGARITHMIC | {"n": 6}, "determinant of moments in the plane", (), _moment_determinant(6, 2.0)),
    Case(_LOGARITHMIC | {"n": 10}, "determinant of moments in the plane", (), _moment_determinant(10, 2.0)),
    Case(_LOGARITHMIC | {"n": 10}, "published value", (), _given(-75.5130066103897)),
    Case(_INVERSE | {"beta": 10}, "adaptive quadrature", (), _two_charges(2, 2, 10, 1)),
    Case(_INVERSE | {"beta": 10}, "published value", (), _given(15.7678935991)),
    Case(_INVERSE | {"dimension": 3, "beta": 0.5}, "adaptive quadrature", (), _two_charges(3, 2, 0.5, 1)),
    Case({"kind": "double_well_particles", "n": 2}, "grid of the relative vector", (), _grid_of_pair(5, 1000)),
    Case({"kind": "lennard_jones", "n": 2, "dimension": 2}, "grid of the relative vector", (), _grid_of_pair(5, 1000)),
    Case(
        {"kind": "lennard_jones", "n": 2, "dimension": 2, "density": 0.2, "switching": 1.2},
        "grid of the relative vector in the box",
        (),
        _grid_of_box(1200),
    ),
    Case(
        {"kind": "monatomic_water", "n": 2, "box": [8.7, 9.0, 9.5], "beta": 0.8},
        "grid of the relative vector in the box",
        (),
        _grid_of_box(120),
    ),
)

CASES = SPIN_CASES + FIELD_CASES + PARTICLE_CASES
