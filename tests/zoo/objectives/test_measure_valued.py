"""The measure-valued gradient: unbiased, less noisy than the score function, and for independent sites alone."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from tests.conformance.cases import scramble, spins
from zoo.catalog import build, build_model, build_objective, build_target, states_of
from zoo.core.models import ConditionalModel, Model
from zoo.core.random import RandomStream
from zoo.core.spaces import DiscreteSpace, build_space
from zoo.core.symmetries import images
from zoo.core.targets import Ensemble, States
from zoo.objectives.base import Batch
from zoo.specs.errors import CapabilityMissingError, InvalidValueError
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.bitstrings import BitstringsSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.spin_glass import SherringtonKirkpatrick, SpinGlassSpec

BATCH_SIZE = 8
NUM_BATCHES = 500
STANDARD_ERRORS = 5.0
TRAINED = MeanFieldSpec(solution="trained")
MEASURE_VALUED = ReverseKlSpec(gradient="measure_valued")
TARGETS: dict[str, TargetSpec] = {
    "Ising": IsingSpec(shape=(2, 3), beta=0.5, h=0.2),
    "spin glass": SpinGlassSpec(couplings=SherringtonKirkpatrick(n=6, seed=1), beta=1.0),
    "bits": BitstringsSpec(qubits=5, depth=6, seed=1),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def scrambled(target: TargetSpec) -> Model:
    model = build_model(TRAINED, build_target(target).space, seed=0)
    scramble(model)
    return model


def flat_gradient(value: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters)]).double()


def enumerated_loss(model: Model, states: States) -> Tensor:
    """sum_x q(x) (u(x) + ln q(x)), differentiable."""
    space = model.space
    assert isinstance(space, DiscreteSpace)
    x = space.enumerate()
    log_prob = model.log_prob(x)
    return (log_prob.exp() * (states.reduced_energy(x) + log_prob)).sum()


def gradients(spec: ReverseKlSpec, name: str) -> Tensor:
    """The gradient on many small batches, shape (batch, parameter)."""
    objective, state, model = build_objective(spec), states_of(TARGETS[name])({}), scrambled(TARGETS[name])
    parameters = list(model.parameters())
    return torch.stack(
        [
            flat_gradient(objective(model, Batch(BATCH_SIZE, state), RandomStream(3, domain=k)).value, parameters)
            for k in range(NUM_BATCHES)
        ]
    )


def largest_deviation(found: Tensor, name: str) -> float:
    """Of the mean from the enumerated gradient, in standard errors, over all parameters."""
    model = scrambled(TARGETS[name])
    exact = flat_gradient(enumerated_loss(model, states_of(TARGETS[name])({})), list(model.parameters()))
    error = found.std(0) / len(found) ** 0.5
    return float(((found.mean(0) - exact).abs() / error.clamp_min(1e-9)).max())


@pytest.mark.parametrize("name", TARGETS)
def test_the_gradient_is_that_of_the_enumerated_loss_within_its_error(name: str) -> None:
    assert largest_deviation(gradients(MEASURE_VALUED, name), name) < STANDARD_ERRORS


def test_a_gradient_without_the_entropy_of_the_site_is_caught() -> None:
    found = gradients(MEASURE_VALUED, "Ising")
    field = torch.cat([p.detach().flatten() for p in scrambled(TARGETS["Ising"]).parameters()]).double()
    upper = torch.sigmoid(field)
    assert largest_deviation(found - upper * (1 - upper) * field, "Ising") > STANDARD_ERRORS


@pytest.mark.parametrize("name", TARGETS)
def test_it_is_less_noisy_than_the_score_function(name: str) -> None:
    measured, scored = (gradients(spec, name).var(0).sum() for spec in (MEASURE_VALUED, ReverseKlSpec()))
    assert float(measured) < 0.5 * float(scored)


def test_one_sample_is_enough_without_couplings() -> None:
    """The rest says nothing of a site then, so every batch has the gradient itself."""
    state, model = states_of(IsingSpec(shape=(4,), J=0.0, h=0.3))({}), scrambled(IsingSpec(shape=(4,)))
    objective, parameters = build_objective(MEASURE_VALUED), list(model.parameters())
    found = flat_gradient(objective(model, Batch(2, state), RandomStream(0)).value, parameters)
    exact = flat_gradient(enumerated_loss(model, state), parameters)
    assert torch.allclose(found, exact, atol=1e-6)


def test_each_condition_has_its_own_gradient() -> None:
    spec = MeanFieldSpec.model_validate({"solution": "trained", "condition_on": {"beta": (0.2, 0.8)}})
    built = build(spec, spins((2, 2)), seed=1)
    assert isinstance(built, ConditionalModel)
    scramble(built)
    state_at = states_of(IsingSpec(shape=(2, 2), h=0.1))
    parameters = list(built.parameters())
    betas, rows = (0.3, 0.7), 4000
    model = built.at(torch.tensor(betas, dtype=torch.float64).repeat_interleave(rows)[:, None])
    batch = Batch(2 * rows, Ensemble(tuple(state_at({"beta": beta}) for beta in betas)))
    loss = build_objective(MEASURE_VALUED)(model, batch, RandomStream(2))
    losses = [enumerated_loss(built.at(torch.tensor([[b]])), state_at({"beta": b})) for b in betas]
    found, exact = flat_gradient(loss.value, parameters), flat_gradient((losses[0] + losses[1]) / 2, parameters)
    assert float((found - exact).norm() / exact.norm()) < 0.05
    wrong = flat_gradient(enumerated_loss(built.at(torch.tensor([[0.3]])), state_at({"beta": 0.3})), parameters)
    assert float((found - wrong).norm() / exact.norm()) > 0.1


def test_the_value_is_the_mean_of_f() -> None:
    state, model = states_of(TARGETS["Ising"])({}), scrambled(TARGETS["Ising"])
    loss = build_objective(MEASURE_VALUED)(model, Batch(1000, state), RandomStream(4))
    assert float(loss.value.detach()) == pytest.approx(float(-loss.log_weights.mean()), abs=1e-12)


def test_sites_that_depend_on_each_other_are_refused_naming_what_works() -> None:
    model = build_model(MadeSpec(width=4), spins((2, 2)), seed=0)
    state = states_of(IsingSpec(shape=(2, 2)))({})
    with pytest.raises(CapabilityMissingError, match="use 'score_function'"):
        build_objective(MEASURE_VALUED)(model, Batch(4, state), RandomStream(0))


def test_a_penalty_is_refused() -> None:
    space = build_space(IsingSpec(shape=(2, 2)).space)
    batch = Batch(4, states_of(IsingSpec(shape=(2, 2)))({}), images=images(("z2",), space.spec))
    with pytest.raises(InvalidValueError, match="symmetry_penalty"):
        build_objective(MEASURE_VALUED)(build_model(TRAINED, space, seed=0), batch, RandomStream(0))
