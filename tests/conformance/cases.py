"""Every family of the catalogue in a few small forms, on every space that it serves, with weights of several kinds."""

from dataclasses import dataclass
from functools import cache
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.catalog import build, build_objective, build_target, states_of
from zoo.core.models import ConditionalModel, Model
from zoo.core.spaces import DiscreteSpace, Space, Spins, build_space
from zoo.core.targets import ThermodynamicState
from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.conditions import NO_CONDITION, ConditionOn
from zoo.specs.models.continuous_autoregressive import ContinuousAutoregressiveSpec
from zoo.specs.models.discrete_flow import DiscreteFlowSpec
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.models.flow import CouplingSpec
from zoo.specs.models.gauge_flow import GaugeFlowSpec
from zoo.specs.models.glow import GlowSpec
from zoo.specs.models.iaf import IafSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.maf import MafSpec
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.models.nice import NiceSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.models.realnvp import RealNvpSpec
from zoo.specs.models.rnn import RnnSpec
from zoo.specs.models.sphere_flow import SphereFlowSpec
from zoo.specs.models.spline_flow import SplineFlowSpec
from zoo.specs.models.transformer import TransformerSpec
from zoo.specs.objectives import ReverseKlSpec
from zoo.specs.spaces import DISCRETE, SpaceKind, SpaceSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.targets.potts import PottsSpec
from zoo.specs.training import TrainingSpec
from zoo.training.problem import Problem
from zoo.training.trainer import Trainer, train

BETAS = ConditionOn(beta=(0.2, 1.0))

MODEL_SPECS: dict[type[ModelSpec], tuple[ModelSpec, ...]] = {
    MadeSpec: (
        MadeSpec(width=24),
        MadeSpec(width=5, depth=2, condition_on=BETAS),
        MadeSpec(width=24, depth=3, symmetry="z2"),
        MadeSpec(width=5, symmetry=("z2", "lattice_point_group")),
        MadeSpec(width=9, condition_on=ConditionOn(label=3)),
    ),
    PixelCnnSpec: (
        PixelCnnSpec(width=8, depth=2),
        PixelCnnSpec(
            width=5, depth=3, half_kernel=2, dilated=True, condition_on=ConditionOn(beta=(0.2, 1.0), h=(-1, 1))
        ),
        PixelCnnSpec(width=6, depth=3, symmetry="z2", residual=False),
        PixelCnnSpec(width=3, depth=2, symmetry="lattice_translation"),
    ),
    RnnSpec: (
        RnnSpec(width=8),
        RnnSpec(width=6, dimension=2, condition_on=BETAS),
        RnnSpec(width=5, depth=2, symmetry="z2"),
    ),
    TransformerSpec: (
        TransformerSpec(width=8),
        TransformerSpec(width=8, heads=1, positions="rotary", condition_on=BETAS),
        TransformerSpec(width=6, depth=1, symmetry="z2"),
    ),
    MeanFieldSpec: (
        MeanFieldSpec(solution="trained"),
        MeanFieldSpec(solution="trained", condition_on=BETAS),
    ),
    NiceSpec: (
        NiceSpec(couplings=3, width=8, depth=1),
        NiceSpec(couplings=2, width=6, odd=True, condition_on=BETAS),
    ),
    RealNvpSpec: (
        RealNvpSpec(couplings=3, width=8, depth=1),
        RealNvpSpec(couplings=2, width=5, base="free_field", mask="alternating", condition_on=BETAS),
        RealNvpSpec(couplings=4, width=4, conditioner="convolution", symmetry="z2"),
        RealNvpSpec(couplings=2, width=4, conditioner="convolution", odd=True, base="free_field", condition_on=BETAS),
    ),
    SplineFlowSpec: (
        SplineFlowSpec(couplings=3, width=8, depth=1, bins=4),
        SplineFlowSpec(couplings=2, width=6, odd=True, base="free_field", bins=3, condition_on=BETAS),
        SplineFlowSpec(couplings=2, width=4, conditioner="convolution", bins=5, bound=2.0),
    ),
    GaugeFlowSpec: (
        GaugeFlowSpec(couplings=9, width=4),
        GaugeFlowSpec(couplings=2, width=5, depth=1, components=1, kernel=1, condition_on=BETAS),
        GaugeFlowSpec(couplings=2, width=3, symmetry="z2"),
        GaugeFlowSpec(couplings=3, width=4, map="spline", bins=3),
    ),
    SphereFlowSpec: (
        SphereFlowSpec(couplings=7, width=6, bins=4),
        SphereFlowSpec(couplings=3, width=5, depth=1, bins=3, condition_on=BETAS),
        SphereFlowSpec(couplings=4, width=4, bins=3, symmetry="lattice_translation"),
    ),
    GlowSpec: (
        GlowSpec(steps=2, width=6),
        GlowSpec(steps=1, width=4, depth=1, scales=1, base="free_field", condition_on=BETAS),
        GlowSpec(steps=1, width=4, kernel=1, symmetry="z2"),
    ),
    MafSpec: (
        MafSpec(layers=2, width=9),
        MafSpec(layers=3, width=6, depth=2, mixing="linear", condition_on=BETAS),
        MafSpec(layers=1, width=7, symmetry="z2", base="free_field"),
    ),
    IafSpec: (
        IafSpec(layers=2, width=9),
        IafSpec(layers=3, width=6, depth=2, mixing="linear", condition_on=BETAS),
    ),
    DiscreteFlowSpec: (
        DiscreteFlowSpec(couplings=3, width=8, depth=1),
        DiscreteFlowSpec(couplings=2, width=6, condition_on=BETAS),
        DiscreteFlowSpec(couplings=2, width=5, depth=1, symmetry="z2"),
    ),
    ContinuousAutoregressiveSpec: (
        ContinuousAutoregressiveSpec(width=8, components=2),
        ContinuousAutoregressiveSpec(width=6, depth=2, components=1, symmetry="z2", condition_on=BETAS),
    ),
}
"""The first form of each family is taken on all spaces that the family serves, the others on the first of them."""

STATES = ("untrained", "trained", "scrambled")


@dataclass(frozen=True)
class ModelCase:
    """A model to be built: its spec, the kind of space it lives on, and what has happened to its weights."""

    spec: ModelSpec
    state: str
    kind: SpaceKind = "spins"

    def __str__(self) -> str:
        parameters = self.spec.model_dump(exclude_defaults=True, exclude_none=True, exclude={"family"})
        return "-".join([self.spec.family, self.kind, *(f"{k}={v}" for k, v in parameters.items()), self.state])

    def space(self, shape: tuple[int, ...] = (4, 4)) -> Space:
        """The case's space: three values where it is categorical, momenta in phase space; links; vectors."""
        num_values = 3 if self.kind == "categorical" else None
        if self.kind == "phase_space":
            shape = (2 * -(-prod(shape) // 2),)
        if isinstance(self.spec, GaugeFlowSpec):
            shape = (2, *shape)
        if self.kind == "spheres":
            shape = (*shape, 3)
        return build_space(SpaceSpec(kind=self.kind, event_shape=shape, num_values=num_values))

    @property
    def small_shape(self) -> tuple[int, ...]:
        """A lattice of few sites that the family can live on, with sides of equal length."""
        needs_even_sides = isinstance(self.spec, CouplingSpec) and self.spec.conditioner == "convolution"
        return (4, 4) if needs_even_sides or isinstance(self.spec, GaugeFlowSpec | GlowSpec) else (3, 3)

    def discrete_space(self, shape: tuple[int, ...]) -> DiscreteSpace:
        """The same, of a case that can be enumerated."""
        space = self.space(shape)
        assert isinstance(space, DiscreteSpace)
        return space

    def built(self, shape: tuple[int, ...] = (4, 4)) -> Model | ConditionalModel:
        """What the catalogue builds on a lattice of this shape; a fresh copy at every call."""
        built = build(self.spec, self.space(shape), seed=1)
        built.load_state_dict(_weights(self, shape))
        return built

    def models(self, shape: tuple[int, ...] = (4, 4)) -> list[Model]:
        """The model at each of some values of its conditions; one model where there are none."""
        built = self.built(shape)
        if isinstance(built, Model):
            return [built]
        return [built.at(values[None]) for values in condition_values(condition_on(self.spec))]

    def model(self, shape: tuple[int, ...] = (4, 4)) -> Model:
        """The model, at the last of those values."""
        return self.models(shape)[-1]


def condition_on(spec: ModelSpec) -> ConditionOn:
    """What a family's models are conditioned on."""
    return spec.condition_on if isinstance(spec, DistributionSpec) else NO_CONDITION


def condition_values(conditions: ConditionOn) -> Float[Tensor, "row condition"]:
    """Values to measure at: both ends of every range and a point between, or every class."""
    if conditions.label is not None:
        return torch.arange(conditions.label, dtype=torch.float64)[:, None]
    ranges = torch.tensor(list(conditions.ranges.values()), dtype=torch.float64)
    return torch.stack([torch.lerp(ranges[:, 0], ranges[:, 1], torch.tensor(f)) for f in (0.0, 1.0, 0.3)])


def _cases() -> tuple[ModelCase, ...]:
    cases: list[ModelCase] = []
    for spec_class, specs in MODEL_SPECS.items():
        for number, spec in enumerate(specs):
            kinds = spec_class.served_spaces()
            for kind in kinds if number == 0 else kinds[:1]:
                states = [s for s in STATES if s != "trained" or (kind in _TARGETS and number == 0)]
                cases += [ModelCase(spec, state, kind) for state in states]
    return tuple(cases)


def spins(shape: tuple[int, ...]) -> Spins:
    """Spins of this event shape."""
    return Spins(SpaceSpec(kind="spins", event_shape=shape))


def scramble(model: nn.Module, scale: float = 0.3) -> None:
    """Add normal noise to every weight, so that conditionals are far from even and no part of the network is idle."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)


def _target(kind: SpaceKind, shape: tuple[int, ...]) -> TargetSpec:
    return _TARGETS[kind].model_validate({"shape": shape, "beta": 0.4} | _PARAMETERS[kind])


_TARGETS: dict[SpaceKind, type[TargetSpec]] = {"spins": IsingSpec, "categorical": PottsSpec, "reals": Phi4Spec}
_PARAMETERS: dict[SpaceKind, dict[str, float]] = {
    "spins": {},
    "categorical": {"q": 3},
    "reals": {"mass_squared": 1.0, "coupling": 0.5},
}


@cache
def _weights(case: ModelCase, shape: tuple[int, ...]) -> dict[str, Tensor]:
    built = build(case.spec, case.space(shape), seed=1)
    if case.state == "scrambled":
        scramble(built, scale=0.3 if case.kind in DISCRETE else 0.1)
    if case.state == "trained":
        spec = _target(case.kind, shape)
        state = ThermodynamicState(build_target(spec), spec.state_beta)
        problem = Problem(state, condition_on=condition_on(case.spec), state_at=states_of(spec))
        training = TrainingSpec(batch_size=200, max_steps=30, learning_rate=0.02)
        trainer = Trainer(build_objective(ReverseKlSpec()), problem, training)
        for _ in train(trainer, trainer.init(built)):
            pass
    return built.state_dict()


MODEL_CASES = _cases()
SCRAMBLED_CASES = tuple(case for case in MODEL_CASES if case.state == "scrambled")
DISCRETE_CASES = tuple(case for case in MODEL_CASES if case.kind in DISCRETE)
REAL_CASES = tuple(case for case in MODEL_CASES if case.kind in {"reals", "phase_space", "particles"})
TORUS_CASES = tuple(case for case in MODEL_CASES if case.kind == "torus" and isinstance(case.spec, SplineFlowSpec))
SPHERE_CASES = tuple(case for case in MODEL_CASES if case.kind == "spheres")
SEQUENTIAL_CASES = tuple(case for case in SCRAMBLED_CASES if isinstance(case.spec, AutoregressiveSpec))
