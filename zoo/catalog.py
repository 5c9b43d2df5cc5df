"""The one place that names every family and target: spec class -> "module:Class", imported on first use."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from zoo.specs.datasets import BarsAndStripesDataSpec, BitstringsDataSpec, BuiltinSpec, DigitsSpec, LabelledSamples
from zoo.specs.errors import InvalidValueError
from zoo.specs.models.augmented_flow import AugmentedFlowSpec
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.bethe import BetheSpec
from zoo.specs.models.continuous_autoregressive import ContinuousAutoregressiveSpec
from zoo.specs.models.discrete_flow import DiscreteFlowSpec
from zoo.specs.models.distribution import DistributionSpec
from zoo.specs.models.fixed_point import FixedPointSpec
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
from zoo.specs.models.stochastic_flow import StochasticFlowSpec
from zoo.specs.models.transformer import TransformerSpec
from zoo.specs.objectives import (
    AlphaDivergenceSpec,
    DistillationSpec,
    MaximumLikelihoodSpec,
    MixedSpec,
    ObjectiveSpec,
    ReverseKlSpec,
)
from zoo.specs.samplers import (
    DirectSpec,
    HeatBathSpec,
    HmcSpec,
    MetropolisSpec,
    ParallelTemperingSpec,
    SamplerSpec,
    SwendsenWangSpec,
    WolffSpec,
)
from zoo.specs.targets.bars_and_stripes import BarsAndStripesSpec
from zoo.specs.targets.base import TargetSpec
from zoo.specs.targets.bitstrings import BitstringsSpec
from zoo.specs.targets.coulomb_gas import CoulombGasSpec
from zoo.specs.targets.coupled_oscillators import CoupledOscillatorsSpec
from zoo.specs.targets.double_well import DoubleWellSpec
from zoo.specs.targets.double_well_particles import DoubleWellParticlesSpec
from zoo.specs.targets.dual_ising import DualIsingSpec
from zoo.specs.targets.gaussian import GaussianSpec
from zoo.specs.targets.gaussian_mixture import GaussianMixtureSpec
from zoo.specs.targets.hopfield import HopfieldSpec
from zoo.specs.targets.ising import IsingSpec
from zoo.specs.targets.lennard_jones import LennardJonesSpec
from zoo.specs.targets.monatomic_water import MonatomicWaterSpec
from zoo.specs.targets.mueller_brown import MuellerBrownSpec
from zoo.specs.targets.phi4 import Phi4Spec
from zoo.specs.targets.potts import PottsSpec
from zoo.specs.targets.ring import RingSpec
from zoo.specs.targets.spin_glass import SpinGlassSpec
from zoo.specs.targets.u1_gauge import U1GaugeSpec
from zoo.specs.targets.vector_spins import VectorSpinsSpec
from zoo.specs.targets.xy import XYSpec

if TYPE_CHECKING:
    from zoo.core.models import ConditionalModel, Model, TargetedModel, Weighable
    from zoo.core.self_consistency import SelfConsistent
    from zoo.core.spaces import Space
    from zoo.core.targets import Target, ThermodynamicState
    from zoo.objectives.base import Objective
    from zoo.samplers.base import Beta, Chains

TARGETS: dict[type[TargetSpec], str] = {
    BarsAndStripesSpec: "zoo.targets.bars_and_stripes:BarsAndStripes",
    BitstringsSpec: "zoo.targets.bitstrings:Bitstrings",
    CoulombGasSpec: "zoo.targets.coulomb_gas:CoulombGas",
    CoupledOscillatorsSpec: "zoo.targets.coupled_oscillators:CoupledOscillators",
    DoubleWellSpec: "zoo.targets.double_well:DoubleWell",
    DoubleWellParticlesSpec: "zoo.targets.double_well_particles:DoubleWellParticles",
    DualIsingSpec: "zoo.targets.dual_ising:DualIsing",
    GaussianSpec: "zoo.targets.gaussian:Gaussian",
    GaussianMixtureSpec: "zoo.targets.gaussian_mixture:GaussianMixture",
    HopfieldSpec: "zoo.targets.hopfield:Hopfield",
    IsingSpec: "zoo.targets.ising:Ising",
    MuellerBrownSpec: "zoo.targets.mueller_brown:MuellerBrown",
    Phi4Spec: "zoo.targets.phi4:Phi4",
    PottsSpec: "zoo.targets.potts:Potts",
    RingSpec: "zoo.targets.ring:Ring",
    SpinGlassSpec: "zoo.targets.spin_glass:SpinGlass",
    U1GaugeSpec: "zoo.targets.u1_gauge:U1Gauge",
    XYSpec: "zoo.targets.xy:XY",
    VectorSpinsSpec: "zoo.targets.vector_spins:VectorSpins",
    LennardJonesSpec: "zoo.targets.lennard_jones:LennardJones",
    MonatomicWaterSpec: "zoo.targets.monatomic_water:MonatomicWater",
}

MODELS: dict[type[ModelSpec], str] = {
    MadeSpec: "zoo.models.made:Made",
    PixelCnnSpec: "zoo.models.pixelcnn:PixelCnn",
    RnnSpec: "zoo.models.rnn:Rnn",
    TransformerSpec: "zoo.models.transformer:Transformer",
    MeanFieldSpec: "zoo.models.mean_field:MeanField",
    ContinuousAutoregressiveSpec: "zoo.models.continuous_autoregressive:ContinuousAutoregressive",
    NiceSpec: "zoo.models.nice:Nice",
    RealNvpSpec: "zoo.models.realnvp:RealNvp",
    SplineFlowSpec: "zoo.models.spline_flow:SplineFlow",
    GlowSpec: "zoo.models.glow:Glow",
    MafSpec: "zoo.models.maf:Maf",
    IafSpec: "zoo.models.iaf:Iaf",
    GaugeFlowSpec: "zoo.models.gauge_flow:GaugeFlow",
    SphereFlowSpec: "zoo.models.sphere_flow:SphereFlow",
    DiscreteFlowSpec: "zoo.models.discrete_flow:DiscreteFlow",
}

PATHS: dict[type[ModelSpec], str] = {
    StochasticFlowSpec: "zoo.models.stochastic_flow:StochasticFlow",
    AugmentedFlowSpec: "zoo.models.augmented_flow:AugmentedFlow",
}
"""Families whose samples come with further random variables: they have exact weights, and no likelihood."""

APPROXIMATIONS: dict[type[ModelSpec], str] = {
    BetheSpec: "zoo.models.bethe:Bethe",
}
"""Families that have a free energy and no distribution."""

FAMILIES: dict[type[ModelSpec], str] = MODELS | PATHS | APPROXIMATIONS
"""All that a user can ask for."""

EQUATIONS: dict[type[ModelSpec], str] = {
    MeanFieldSpec: "zoo.models.mean_field:MeanFieldEquations",
    **APPROXIMATIONS,
}
"""What is solved for a target instead of trained."""

OBJECTIVES: dict[type[ObjectiveSpec], str] = {
    ReverseKlSpec: "zoo.objectives.reverse_kl:ReverseKl",
    MaximumLikelihoodSpec: "zoo.objectives.maximum_likelihood:MaximumLikelihood",
    MixedSpec: "zoo.objectives.mixed:Mixed",
    AlphaDivergenceSpec: "zoo.objectives.alpha_divergence:AlphaDivergence",
    DistillationSpec: "zoo.objectives.distillation:Distillation",
}

SAMPLERS: dict[type[SamplerSpec], str] = {
    MetropolisSpec: "zoo.samplers.metropolis:Metropolis",
    HeatBathSpec: "zoo.samplers.heat_bath:HeatBath",
    SwendsenWangSpec: "zoo.samplers.swendsen_wang:SwendsenWang",
    WolffSpec: "zoo.samplers.wolff:Wolff",
    HmcSpec: "zoo.samplers.hmc:Hmc",
    ParallelTemperingSpec: "zoo.samplers.parallel_tempering:ParallelTempering",
    DirectSpec: "zoo.samplers.direct:Direct",
}

BUILTINS: dict[type[BuiltinSpec], str] = {
    DigitsSpec: "zoo.data.digits:digits",
    BarsAndStripesDataSpec: "zoo.exact.bars_and_stripes:bars_and_stripes_data",
    BitstringsDataSpec: "zoo.exact.random_circuit:bitstrings_data",
}


def tag_of(spec_class: type[TargetSpec | ModelSpec | ObjectiveSpec | SamplerSpec]) -> str:
    """The word that names a spec class in JSON: its ``kind`` or ``family``."""
    field = "family" if issubclass(spec_class, ModelSpec) else "kind"
    return str(spec_class.model_fields[field].default)


class _OneOf:
    """Validation of a spec by the class that its tag field names; an unknown tag is answered with the known ones."""

    def __init__(self, tag_field: str, table: Mapping[type[Any], str]) -> None:
        self._tag_field = tag_field
        self._table = table

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {tag_of(spec_class): handler.generate_schema(spec_class) for spec_class in self._table}
        return core_schema.tagged_union_schema(choices, discriminator=self._tag_field)


AnyTarget = Annotated[TargetSpec, _OneOf("kind", TARGETS)]
AnyModel = Annotated[ModelSpec, _OneOf("family", FAMILIES)]
AnyObjective = Annotated[ObjectiveSpec, _OneOf("kind", OBJECTIVES)]
AnySampler = Annotated[SamplerSpec, _OneOf("kind", SAMPLERS)]


def build_target(spec: TargetSpec) -> "Target":
    """The physical system that ``spec`` describes."""
    target: Target = _load(TARGETS[type(spec)])(spec)
    return target


def states_of(spec: TargetSpec) -> "Callable[[Mapping[str, float]], ThermodynamicState]":
    """The system of ``spec`` at its temperature, as a function of other values of some of its parameters."""
    base = build_target(spec)
    make: Callable[[Target, float], ThermodynamicState] = _load("zoo.core.targets:ThermodynamicState")

    def state_at(values: Mapping[str, float]) -> "ThermodynamicState":
        changed = spec.model_copy(update=dict(values))
        return make(base if set(values) <= {"beta"} else build_target(changed), changed.state_beta)

    return state_at


def build_model(spec: ModelSpec, space: "Space", seed: int) -> "Model":
    """An untrained model on ``space``, its weights drawn from ``seed``; a family on spins serves bits too.

    Raises:
        InvalidValueError: the family cannot live on this space, or the model is one for each value of a condition.
    """
    model = build(spec, space, seed)
    if isinstance(model, _load("zoo.core.models:Model")):
        return cast("Model", model)
    msg = f"family {spec.family!r} with condition_on is one model for each value of its conditions"
    raise InvalidValueError(msg)


def build(spec: ModelSpec, space: "Space", seed: int) -> "Model | ConditionalModel":
    """The untrained model on ``space``, its weights drawn from ``seed``, or one for each value of its conditions.

    Raises:
        InvalidValueError: the family cannot live on this space, or is no distribution.
    """
    if type(spec) not in MODELS:
        what = "an approximation of the free energy" if type(spec) in APPROXIMATIONS else "a way to a target"
        msg = f"family {spec.family!r} is {what}, and no distribution"
        raise InvalidValueError(msg)
    native = spec.native_space(space.spec)
    inner = space if native == space.spec else _load("zoo.core.spaces:build_space")(native)
    built = _load(MODELS[type(spec)])(spec, inner, seed)
    if isinstance(spec, DistributionSpec):
        built = _load("zoo.models.assembly:assembled")(built, spec, space)
    model: Model | ConditionalModel = built
    return model


def build_trainable(spec: ModelSpec, space: "Space", seed: int) -> "Weighable | ConditionalModel | TargetedModel":
    """What ``build`` makes, or a model that has weights of its samples alone, of one target or whatever it is taken to.

    Raises:
        InvalidValueError: the family cannot live on this space, or is neither.
    """
    if type(spec) in PATHS:
        path: Weighable | TargetedModel = _load(PATHS[type(spec)])(spec, space, seed)
        return path
    return build(spec, space, seed)


def build_equations(spec: FixedPointSpec) -> "SelfConsistent":
    """The equations whose fixed point is the model, or the approximation, that ``spec`` describes."""
    equations: SelfConsistent = _load(EQUATIONS[type(spec)])(spec)
    return equations


def build_objective(spec: ObjectiveSpec) -> "Objective":
    """The training principle that ``spec`` describes."""
    objective: Objective = _load(OBJECTIVES[type(spec)])(spec)
    return objective


def build_chains(spec: SamplerSpec, target: "Target", beta: "Beta") -> "Chains[Any]":
    """The Markov chains that ``spec`` describes on ``target``, at one beta or one for each chain.

    The class behind a line takes (spec, target, beta).
    """
    chains: Chains[Any] = _load(SAMPLERS[type(spec)])(spec, target, beta)
    return chains


def build_dataset(spec: BuiltinSpec) -> LabelledSamples:
    """The configurations that a builtin consists of; none of them needs torch."""
    data: LabelledSamples = _load(BUILTINS[type(spec)])(spec)
    return data


def _load(path: str) -> Any:  # noqa: ANN401 - the class behind a catalogue line
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
