"""Naive mean field: the best product measure, whose bound is known in closed form, and where it begins to order."""

from math import log

import pytest
import torch

from tests.conformance.cases import spins
from tests.conformance.target_cases import TARGET_SPECS
from zoo.catalog import TARGETS, build, build_equations, build_model, build_target, states_of
from zoo.core.models import Completing, IndependentSites, Model
from zoo.core.random import RandomStream
from zoo.core.self_consistency import Solution, solved
from zoo.core.spaces import build_space
from zoo.core.targets import HasExactFreeEnergy, PairwiseSpins, ThermodynamicState
from zoo.estimators.free_energy import variational_beta_f
from zoo.models.autoregressive import Autoregressive
from zoo.models.fixed_points import critical_beta
from zoo.models.independent_sites import ProductModel
from zoo.models.mean_field import MeanField, MeanFieldEquations
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.potts import PottsSpec
from zoo.specs.targets.spin_glass import EdwardsAnderson, SherringtonKirkpatrick, SpinGlassSpec

BETA_MEAN_FIELD = 0.25  # 1 / coordination number
CASES: dict[str, TargetSpec] = {
    "disordered": IsingSpec(shape=(4, 4), beta=0.2, h=0.1),
    "ordered": IsingSpec(shape=(4, 4), beta=0.5),
    "staggered": IsingSpec(shape=(4, 4), beta=0.5, J=-1.0),
    "double bonds": IsingSpec(shape=(2, 4), beta=0.3),
    "open chain": IsingSpec(shape=(9,), beta=0.8, h=-0.3, periodic=False),
    "Sherrington and Kirkpatrick": SpinGlassSpec(couplings=SherringtonKirkpatrick(n=12, seed=3), beta=1.5),
    "Edwards and Anderson": SpinGlassSpec(couplings=EdwardsAnderson(shape=(4, 4), seed=1), beta=1.0),
}


def state_of(spec: TargetSpec) -> ThermodynamicState:
    return states_of(spec)({})


def solution_of(spec: TargetSpec, model: MeanFieldSpec | None = None) -> Solution:
    equations = build_equations(model or MeanFieldSpec())
    return solved(equations.solve(state_of(spec), RandomStream(0)))


def solved_model(spec: TargetSpec) -> ProductModel:
    equations = build_equations(MeanFieldSpec())
    model = build_model(MeanFieldSpec(), build_target(spec).space, seed=0)
    model.load_state_dict(equations.weights(solution_of(spec)))
    assert isinstance(model, ProductModel)
    return model


@pytest.mark.parametrize("name", CASES)
def test_the_closed_form_is_the_variational_free_energy_of_the_product(name: str) -> None:
    solution, state = solution_of(CASES[name]), state_of(CASES[name])
    model = solved_model(CASES[name])
    configurations = spins(CASES[name].space.event_shape).enumerate()
    with torch.no_grad():
        log_prob = model.log_prob(configurations)
    enumerated = float((log_prob.exp() * (state.reduced_energy(configurations) + log_prob)).sum())
    energy = float((log_prob.exp() * state.target.energy(configurations)).sum())
    exact = -float(torch.logsumexp(state.unnormalized_log_prob(configurations), 0))
    assert solution.converged
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-12)
    assert solution.beta_f == pytest.approx(enumerated, abs=1e-5)  # the weights are float32
    assert solution.energy == pytest.approx(energy, abs=1e-4)
    assert solution.beta_f > exact


@pytest.mark.parametrize("name", CASES)
def test_the_sampled_bound_agrees_with_the_closed_form(name: str) -> None:
    model, state = solved_model(CASES[name]), state_of(CASES[name])
    x, log_prob = model.sample_and_log_prob(20_000, RandomStream(5))
    bound = variational_beta_f(state.unnormalized_log_prob(x) - log_prob)
    assert bound.standard_error is not None
    assert abs(bound.value - solution_of(CASES[name]).beta_f) < 4 * bound.standard_error + 1e-5


def test_no_product_near_the_solution_is_better() -> None:
    for name in ("ordered", "Edwards and Anderson"):
        model, state = solved_model(CASES[name]), state_of(CASES[name])
        configurations = spins(build_target(CASES[name]).space.event_shape).enumerate()
        (field,) = model.parameters()
        assert float(gradient_at(field.detach(), configurations, state).abs().max()) < 1e-5
        assert float(gradient_at(field.detach() + 0.5, configurations, state).abs().max()) > 1e-3


def gradient_at(field: torch.Tensor, x: torch.Tensor, state: ThermodynamicState) -> torch.Tensor:
    """Of sum_x q(x) (beta E(x) + ln q(x)) for the product with these fields, over all configurations x."""
    fields = field.double().requires_grad_()
    log_prob = torch.nn.functional.logsigmoid(x.flatten(1) * fields).sum(1)
    (gradient,) = torch.autograd.grad((log_prob.exp() * (state.reduced_energy(x) + log_prob)).sum(), fields)
    return gradient


@pytest.mark.parametrize("side", [3, 4, 5])
def test_the_even_solution_loses_its_stability_at_one_quarter_on_the_square_lattice(side: int) -> None:
    equations = MeanFieldEquations(MeanFieldSpec())
    state_at = states_of(IsingSpec(shape=(side, side)))
    found = critical_beta(lambda beta: equations.growth(state_at({"beta": beta})), 0.1, 0.5)
    assert found == pytest.approx(BETA_MEAN_FIELD, abs=1e-9)


@pytest.mark.parametrize("side", [3, 4, 8])
def test_the_magnetisation_appears_at_one_quarter(side: int) -> None:
    below = solution_of(IsingSpec(shape=(side, side), beta=0.245)).magnetizations
    above = solution_of(IsingSpec(shape=(side, side), beta=0.255)).magnetizations
    assert float(below.abs().max()) < 1e-6
    m = float(above[0])
    assert m > 0.1
    assert m == pytest.approx(float(torch.tanh(torch.tensor(0.255 * 4 * m, dtype=torch.float64))), abs=1e-8)
    assert torch.allclose(above, above[:1].expand_as(above), atol=1e-8)


def test_without_couplings_it_is_exact() -> None:
    solution = solution_of(IsingSpec(shape=(7,), J=0.0, h=0.4, beta=0.9))
    half = torch.tensor(0.36, dtype=torch.float64)
    assert solution.beta_f == pytest.approx(-7 * float(torch.log(2 * torch.cosh(half))), abs=1e-12)


def test_the_start_that_led_to_the_staggered_phase_is_told() -> None:
    solution = solution_of(CASES["staggered"])
    assert solution.start_name == "tree"
    assert float(solution.magnetizations.abs().min()) > 0.9
    assert float(solution.magnetizations.sum()) == pytest.approx(0, abs=1e-9)
    assert solution_of(CASES["ordered"]).start_name == "up"


def test_too_few_iterations_are_said_to_be_too_few_and_still_bound() -> None:
    spec = IsingSpec(shape=(8, 8), beta=0.2501)
    short = solution_of(spec, MeanFieldSpec(max_iterations=20))
    assert not short.converged
    assert short.residual > MeanFieldSpec().tolerance
    assert short.iterations == 20
    target = build_target(spec)
    assert isinstance(target, HasExactFreeEnergy)
    assert short.beta_f > target.exact_beta_f(0.2501)


def test_a_solution_survives_being_written_down() -> None:
    solution = solution_of(CASES["ordered"])
    again = Solution.of(solution.tensors())
    assert torch.equal(again.values, solution.values)
    assert (again.beta_f, again.converged, again.start) == (solution.beta_f, True, solution.start)


def test_samples_are_those_of_the_shared_loop_over_sites() -> None:
    space = spins((3, 4))
    for condition_on in ({}, {"beta": (0.1, 0.5)}):
        spec = MeanFieldSpec.model_validate({"solution": "trained", "condition_on": condition_on})
        network = MeanField(spec, space, seed=3)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        built = build(spec, space, seed=3)
        built.load_state_dict({f"network.{name}": value for name, value in network.state_dict().items()})
        values = torch.linspace(0.1, 0.5, 50)[:, None] if condition_on else None
        model = built if values is None or isinstance(built, Model) else built.at(values)
        assert isinstance(model, ProductModel)
        loop = Autoregressive(network, values)
        x, log_prob = loop.sample_and_log_prob(50, RandomStream(7))
        y, own = model.sample_and_log_prob(50, RandomStream(7))
        assert torch.equal(x, y)
        assert torch.allclose(log_prob, own, atol=1e-12)


def test_bits_are_served_as_they_are() -> None:
    space = build_space(SpaceSpec(kind="bits", event_shape=(5,)))
    model = build_model(MeanFieldSpec(solution="trained"), space, seed=1)
    x, log_prob = model.sample_and_log_prob(500, RandomStream(2))
    assert x.dtype == torch.uint8
    assert set(x.flatten().tolist()) == {0, 1}
    assert isinstance(model, IndependentSites)
    upper = torch.sigmoid(model.log_odds().detach().double())[0]
    expected = torch.where(x > 0, upper, 1 - upper).log().sum(1)
    assert torch.allclose(log_prob, expected, atol=1e-12)


def test_any_missing_part_is_completed_exactly() -> None:
    model = solved_model(CASES["open chain"])
    assert isinstance(model, Completing)
    mask = torch.tensor([[True, False] * 4 + [True]]).expand(2000, -1)
    known = torch.ones(2000, 9, dtype=torch.int8)
    x, log_weight = model.propose(known, mask, RandomStream(1))
    assert bool(model.is_exact(mask).all())
    assert bool((x[mask] == 1).all())
    assert float(log_weight.std()) == pytest.approx(0, abs=1e-12)
    upper = torch.sigmoid(model.log_odds().detach().double())[0]
    assert float(log_weight[0]) == pytest.approx(float(upper[::2].log().sum()), abs=1e-12)
    mean = (x[:, 1::2] > 0).double().mean(0)
    error = (upper[1::2] * (1 - upper[1::2]) / 2000).sqrt()
    assert bool(((mean - upper[1::2]).abs() < 5 * error).all())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"symmetry": "z2"}, "independent sites have it only where their fields do"),
        ({"symmetry": ["z2", "lattice_translation"]}, "use 'none'"),
        ({"condition_on": {"beta": [0.1, 0.5]}}, "take solution 'trained'"),
        ({"damping": 1.0}, "damping"),
        ({"tolerance": 0.0}, "tolerance"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MeanFieldSpec.model_validate(fields)


def test_a_target_without_pairs_has_no_such_equations() -> None:
    with pytest.raises(CapabilityMissingError, match="no sum over pairs of spins"):
        solution_of(PottsSpec(shape=(3, 3), q=3))
    assert "no sum over pairs" in (MeanFieldSpec().unsolvable_reason(PottsSpec(shape=(3, 3), q=3)) or "")


def test_specs_know_which_targets_are_sums_over_pairs() -> None:
    for spec_class in TARGETS:
        for spec in TARGET_SPECS[spec_class]:
            assert spec.is_pairwise == isinstance(build_target(spec), PairwiseSpins)


def test_an_even_product_has_the_entropy_of_all_configurations() -> None:
    assert solution_of(IsingSpec(shape=(4, 4), beta=0.1)).beta_f == pytest.approx(-16 * log(2), abs=1e-9)
