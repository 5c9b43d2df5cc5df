"""exp(log_prob) sums to one over all configurations, and integrates to one over real variables, trained or not."""

from math import pi

import pytest
import torch
from scipy.stats.qmc import Sobol
from torch import Tensor

from tests.conformance.cases import DISCRETE_CASES, MODEL_SPECS, REAL_CASES, SPHERE_CASES, TORUS_CASES, ModelCase
from zoo.core.models import Density, Model
from zoo.core.spaces import DiscreteSpace
from zoo.models.autoregressive import Autoregressive
from zoo.models.made import Made
from zoo.specs.models.flow import FlowSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.spline_flow import SplineFlowSpec

TOLERANCE = 1e-6
LARGE_CASES = tuple(
    case
    for case in DISCRETE_CASES
    if case.kind == "spins" and case.spec in {specs[0] for specs in MODEL_SPECS.values()}
)
REACH, POINTS = 4.25, 451
"""Of t, with x = sinh t up to 35: fine where there is most, and far out, where tails of scrambled models reach."""
SPLINES_REACH, SPLINES_POINTS, SPLINES_TOLERANCE = 2.9, 701, 2e-5
"""Splines are the identity far out, and their densities have kinks, which the rule finds with an error of h^2."""

PAIRS_TOLERANCE = 1e-3
"""Of pairs of vectors, by 2^16 points in four dimensions."""


def total_probability(model: Density, space: DiscreteSpace) -> float:
    with torch.no_grad():
        return float(torch.logsumexp(model.log_prob(space.enumerate()), 0).exp())


def integral(model: Model, reach: float = REACH, points: int = POINTS) -> float:
    """Of q over a plane: the trapezoidal rule in t, x = sinh t, which converges exponentially for smooth q."""
    line = torch.linspace(-reach, reach, points, dtype=torch.float64)
    x: Tensor = torch.cartesian_prod(line.sinh(), line.sinh()).reshape(-1, *model.space.event_shape)
    widths = torch.cartesian_prod(line.cosh(), line.cosh()).prod(1)
    with torch.no_grad():
        return float((model.log_prob(x).exp() * widths).sum()) * (2 * reach / (points - 1)) ** 2


@pytest.mark.parametrize("case", DISCRETE_CASES, ids=str)
def test_probabilities_sum_to_one_at_every_condition(case: ModelCase) -> None:
    shape = (2, 4) if case.kind == "categorical" else (3, 4)
    space = case.discrete_space(shape)
    errors = [abs(total_probability(model, space) - 1) for model in case.models(shape)]
    assert max(errors) < TOLERANCE


@pytest.mark.parametrize("case", LARGE_CASES, ids=str)
def test_probabilities_of_all_65536_configurations_sum_to_one(case: ModelCase) -> None:
    shape = (4, 4)
    assert abs(total_probability(case.model(shape), case.discrete_space(shape)) - 1) < TOLERANCE


@pytest.mark.parametrize("case", REAL_CASES, ids=str)
def test_densities_integrate_to_one_at_every_condition(case: ModelCase) -> None:
    for model in case.models((2,) if case.kind == "reals" else (1, 2)):
        exact = model.double() if isinstance(case.spec, FlowSpec) else model  # without single precision's rounding
        if isinstance(case.spec, SplineFlowSpec):
            assert abs(integral(exact, SPLINES_REACH, SPLINES_POINTS) - 1) < SPLINES_TOLERANCE
        else:
            assert abs(integral(exact) - 1) < TOLERANCE


@pytest.mark.parametrize("case", TORUS_CASES, ids=str)
def test_densities_integrate_to_one_round_the_torus(case: ModelCase) -> None:
    """By the rectangle rule on the circle, which has no ends; the grids differ by half a step."""
    step = 2 * pi / 800
    for model in case.models((2,)):
        for shift in (0.0, step / 2):
            line = torch.arange(800, dtype=torch.float64) * step - pi + shift
            with torch.no_grad():
                total = model.double().log_prob(torch.cartesian_prod(line, line)).exp().sum() * step**2
            assert abs(float(total) - 1) < SPLINES_TOLERANCE


@pytest.mark.parametrize("case", SPHERE_CASES, ids=str)
def test_densities_integrate_to_one_over_the_sphere(case: ModelCase) -> None:
    """By the midpoint rule in the height and the angle of one vector, and over two by Sobol's points."""
    centers = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    one, pair = (case.models(shape)[-1].double() for shape in ((1,), (2,)))
    with torch.no_grad():
        mean = float(one.log_prob(vectors(torch.cartesian_prod(centers, centers)[:, None])).exp().mean())
        assert abs(mean * 4 * pi - 1) < SPLINES_TOLERANCE
        points = torch.from_numpy(Sobol(4, rng=1).random(2**16))
        mean = float(pair.log_prob(vectors(points.view(-1, 2, 2))).exp().mean())
        assert abs(mean * (4 * pi) ** 2 - 1) < PAIRS_TOLERANCE


def vectors(square: Tensor) -> Tensor:
    """Unit vectors from points of the unit square along the last axis: areas are what they were, times 4 pi."""
    h, phi = 2 * square[..., 0] - 1, 2 * pi * square[..., 1]
    r = (1 - h * h).sqrt()
    return torch.stack([r * phi.cos(), r * phi.sin(), h], -1)


def network_of(case: ModelCase, shape: tuple[int, ...]) -> tuple[Autoregressive, Made]:
    model = case.model(shape)
    assert isinstance(model, Autoregressive)
    assert isinstance(model.network, Made)
    return model, model.network


def test_a_mask_that_lets_a_spin_see_itself_is_caught() -> None:
    case = ModelCase(MadeSpec(width=24), "scrambled")
    model, network = network_of(case, (3, 3))
    network._input_mask.fill_(1)
    assert abs(total_probability(model, case.discrete_space((3, 3))) - 1) > 100 * TOLERANCE


def test_a_condition_that_sees_the_configuration_is_caught() -> None:
    case = ModelCase(MODEL_SPECS[MadeSpec][1], "scrambled")
    model, _ = network_of(case, (3, 3))
    x = case.discrete_space((3, 3)).enumerate()
    model.conditions = torch.where(x.flatten(1)[:, -1:] > 0, 0.2, 1.0)
    assert abs(total_probability(model, case.discrete_space((3, 3))) - 1) > 100 * TOLERANCE
