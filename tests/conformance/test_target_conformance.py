"""What a target claims of itself: its space, energies, forces, symmetries and exact free energy; and that it trains."""

from math import inf

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from tests.conformance.configurations import random_configurations, spread_configurations
from tests.conformance.simple_models import simple_model
from tests.conformance.symmetries import SYMMETRIES, images
from tests.conformance.target_cases import TARGET_SPECS
from zoo.catalog import AnyTarget, build_objective, build_target
from zoo.core.random import RandomStream
from zoo.core.spaces import ContinuousSpace, DiscreteSpace
from zoo.core.targets import ContinuousTarget, HasDirectSampling, HasExactFreeEnergy, Target, ThermodynamicState
from zoo.specs.arrays import as_configurations
from zoo.specs.errors import InvalidValueError, NoExactReferenceError
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.samplers import DIRECTLY_SAMPLED, default_sampler
from zoo.specs.targets.base import Symmetry, TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

SPECS = [spec for specs in TARGET_SPECS.values() for spec in specs]
ENUMERATED = 2**16
PER_WHAT = ("energy_per_site", "energy_per_particle", "energy")

every_target = pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.model_dump_json(exclude_defaults=True)[:120])


def energy_stays(target: Target, spec: TargetSpec, symmetry: Symmetry, x: Tensor) -> list[bool]:
    """Whether the energies of ``x`` stay, to rounding, under each generator of a symmetry; empty where it has none."""
    before = target.energy(x)
    scale = before.abs().clamp_min(1)
    stays = []
    for image in images(symmetry, x, spec, target.space):
        after = target.energy(image)
        same = (after == before) | ((after - before).abs() / scale < 1e-8)
        stays.append(bool(same.all()))
    return stays


def wrong_forces(target: ContinuousTarget, x: Tensor, force: Tensor) -> list[str]:
    """The routes that disagree with ``force``: reverse differentiation, and the change of energy along a direction."""
    position = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(target.energy(position).sum(), position)
    largest = gradient.abs().flatten(1).amax(1).reshape(-1, *[1] * (x.ndim - 1))
    wrong = [] if bool(((force + gradient).abs() <= 1e-9 * gradient.abs() + 1e-11 * largest).all()) else ["autograd"]
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(6), dtype=x.dtype)
    step = 1e-6
    ahead, behind = (target.energy(x + sign * step * direction) for sign in (1, -1))
    slope = -(force * direction).flatten(1).sum(1)
    off = ((ahead - behind) / (2 * step) - slope).abs()
    return wrong if bool((off <= 1e-4 * slope.abs() + 1e-5 * largest.flatten()).all()) else [*wrong, "differences"]


def exact_beta_f(target: Target, beta: float) -> float | None:
    """The exact value where there is one."""
    if not isinstance(target, HasExactFreeEnergy):
        return None
    try:
        return target.exact_beta_f(beta)
    except NoExactReferenceError:
        return None


def some_configurations(target: Target, spec: TargetSpec, number: int) -> Tensor:
    """Random configurations; drawn ones where most random ones would be impossible."""
    if isinstance(target, HasDirectSampling) and target.space.spec.is_discrete:
        return target.draw(number, spec.state_beta, RandomStream(1))
    return random_configurations(target.space, number)


@every_target
class TestTarget:
    def test_energies_are_one_float64_number_for_each_configuration(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        assert target.space.spec == spec.space
        x = random_configurations(target.space, 50)
        target.space.validate(x)
        energy = target.energy(x)
        assert energy.shape == (50,)
        assert energy.dtype == torch.float64
        assert not bool((energy.isnan() | (energy == -inf)).any())
        assert bool(energy.isfinite().all()) or not spec.energy_is_finite
        assert torch.allclose(energy[37:40], target.energy(x[37:40]), rtol=1e-12, atol=1e-12)
        single = x.float()
        assert torch.equal(target.energy(single), target.energy(single.double()))

    def test_force_is_minus_the_gradient(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        assert isinstance(target, ContinuousTarget) != spec.space.is_discrete
        if not isinstance(target, ContinuousTarget):
            return
        for x in (spread_configurations(target.space, 6), random_configurations(target.space, 6)):
            force = target.force(x)
            assert force.dtype == torch.float64
            assert wrong_forces(target, x, force) == []
            with torch.inference_mode():
                assert torch.allclose(target.force(x), force, rtol=1e-12)

    @pytest.mark.parametrize("symmetry", SYMMETRIES)
    def test_claimed_symmetry_is_the_measured_one(self, spec: TargetSpec, symmetry: Symmetry) -> None:
        target = build_target(spec)
        assert target.symmetries == spec.symmetries
        stays = energy_stays(target, spec, symmetry, some_configurations(target, spec, 60))
        assert (symmetry in target.symmetries) == (bool(stays) and all(stays))

    def test_observables_are_one_number_for_each_configuration(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        x = some_configurations(target, spec, 50)
        observables = target.observables(x)
        assert set(PER_WHAT) & set(observables)
        for value in observables.values():
            assert value.shape == (50,)
            assert value.dtype == torch.float64
            assert bool(value.isfinite().all())

    def test_exact_free_energy_is_that_of_the_enumerated_energies(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        if not isinstance(target.space, DiscreteSpace) or target.space.num_values**spec.space.num_sites > ENUMERATED:
            return
        x = target.space.enumerate()
        for beta in (spec.beta, 2 * spec.beta):
            weights = ThermodynamicState(target, beta).unnormalized_log_prob(x)
            exact = exact_beta_f(target, beta)
            assert exact is not None
            assert abs(exact + float(torch.logsumexp(weights, 0))) < 1e-10

    def test_exact_energy_is_the_derivative_of_the_exact_free_energy(self, spec: TargetSpec) -> None:
        target, beta, step = build_target(spec), spec.state_beta, 1e-4
        values = [exact_beta_f(target, beta * (1 + k * step)) for k in (-2, -1, 0, 1, 2)]
        if not isinstance(target, HasExactFreeEnergy) or None in values:
            return
        reference = target.exact_reference(beta)
        told = {name: value for name, value in reference.observables.items() if name in PER_WHAT}
        a, b, _, c, d = (float(value or 0) for value in values)
        slope = (a - 8 * b + 8 * c - d) / (12 * step * beta)
        number = {
            "energy": 1,
            "energy_per_site": _sites(target, spec),
            "energy_per_particle": spec.space.event_shape[0],
        }
        for name, value in told.items():
            assert value * number[name] == pytest.approx(slope, rel=1e-6, abs=1e-6)

    def test_direct_draws_are_the_distribution(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        assert isinstance(target, HasDirectSampling) == (spec.kind in DIRECTLY_SAMPLED)
        if not isinstance(target, HasDirectSampling):
            return
        x = target.draw(20_000, spec.state_beta, RandomStream(5))
        target.space.validate(x)
        assert torch.equal(x[700:720], target.draw(20, spec.state_beta, RandomStream(5, first=700)))
        reference = target.exact_reference(spec.state_beta) if isinstance(target, HasExactFreeEnergy) else None
        observed = target.observables(x)
        for name, exact in (reference.observables if reference else {}).items():
            if name in observed:
                sigma = float(observed[name].std()) / 20_000**0.5
                assert abs(float(observed[name].mean()) - exact) <= 4.5 * sigma + 1e-12

    def test_a_spec_is_the_same_after_a_journey_through_json(self, spec: TargetSpec) -> None:
        again: TargetSpec = TypeAdapter(AnyTarget).validate_json(spec.model_dump_json())
        assert again == spec
        assert hash(again) == hash(spec)
        assert default_sampler(spec).unsupported_reason(spec) is None

    def test_every_parameter_is_explained(self, spec: TargetSpec) -> None:
        unexplained = [name for name, field in type(spec).model_fields.items() if not field.description]
        assert set(unexplained) <= {"kind"}

    def test_a_model_that_knows_only_the_protocol_trains_on_it(self, spec: TargetSpec) -> None:
        target = build_target(spec)
        if not spec.energy_is_finite:
            return  # learnt from data alone
        state = ThermodynamicState(target, spec.state_beta)
        model = simple_model(target.space, spread=_spread(target))
        training = TrainingSpec(batch_size=400, max_steps=60, learning_rate=0.05, beta_anneal_steps=0)
        trainer = Trainer(build_objective(ReverseKlSpec()), Problem(state), training)
        infos = [info for _, info in train(trainer, trainer.init(model))]
        first, last = infos[0], infos[-1]
        bounds = [info.parts["variational_beta_f"] for info in (first, last)]
        errors = [info.parts["standard_error"] for info in (first, last)]
        assert bounds[1] <= bounds[0] + 3 * sum(errors)
        exact = exact_beta_f(target, state.beta)
        assert exact is None or bounds[1] >= exact - 5 * errors[1] - 1e-9


def _sites(target: Target, spec: TargetSpec) -> int:
    """What ``energy_per_site`` divides by: measured, because a gauge field has two links for each site."""
    x = some_configurations(target, spec, 40)
    observed = target.observables(x)
    if "energy_per_site" not in observed:
        return 0
    ratio = target.energy(x) / observed["energy_per_site"]
    return round(float(ratio[ratio.isfinite()].mean()))


def _spread(target: Target) -> float:
    """A width at which energies are moderate: particles with hard cores start far apart."""
    if not isinstance(target.space, ContinuousSpace) or target.space.spec.box is not None:
        return 1.0
    x = random_configurations(target.space, 400)
    widths = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    return min(widths, key=lambda width: float((target.energy(width / 1.5 * x)).mean()))


def test_a_claim_of_symmetry_in_a_field_would_be_caught() -> None:
    spec = IsingSpec(shape=(3, 3), h=1e-6)
    target = build_target(spec)
    assert energy_stays(target, spec, "z2", random_configurations(target.space, 60)) == [False]


def test_a_force_without_a_part_of_it_would_be_caught() -> None:
    spec = LennardJonesSpec(n=8, density=0.1, switching=1.5)
    target = build_target(spec)
    assert isinstance(target, ContinuousTarget)
    without_switching = build_target(spec.model_copy(update={"switching": None}))
    assert isinstance(without_switching, ContinuousTarget)
    x = spread_configurations(target.space, 6)
    assert wrong_forces(target, x, target.force(x)) == []
    assert wrong_forces(target, x, without_switching.force(x)) == ["autograd", "differences"]


@every_target
def test_configurations_outside_the_space_are_refused(spec: TargetSpec) -> None:
    target = build_target(spec)
    x = random_configurations(target.space, 3).double().numpy()
    x.reshape(3, -1)[1, 0] = float("nan")
    with pytest.raises(InvalidValueError, match=r"samples\[1\]"):
        as_configurations(x, spec.space)
    with pytest.raises(InvalidValueError, match="shape"):
        as_configurations(x[:, :0], spec.space)
