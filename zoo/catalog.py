"""The one place that names every family and target: spec class -> "module:Class", imported on first use."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from zoo.specs.datasets import BarsAndStripesDataSpec, BitstringsDataSpec, BuiltinSpec, DigitsSpec, LabelledSamples
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.objectives import ObjectiveSpec, ReverseKlSpec
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
from zoo.specs.targets.xy import XYSpec

if TYPE_CHECKING:
    from zoo.core.models import Model
    from zoo.core.spaces import Space
    from zoo.core.targets import Target
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
    LennardJonesSpec: "zoo.targets.lennard_jones:LennardJones",
    MonatomicWaterSpec: "zoo.targets.monatomic_water:MonatomicWater",
}

MODELS: dict[type[ModelSpec], str] = {
    MadeSpec: "zoo.models.made:Made",
    PixelCnnSpec: "zoo.models.pixelcnn:PixelCnn",
}

OBJECTIVES: dict[type[ObjectiveSpec], str] = {
    ReverseKlSpec: "zoo.objectives.reverse_kl:ReverseKl",
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
AnyModel = Annotated[ModelSpec, _OneOf("family", MODELS)]
AnyObjective = Annotated[ObjectiveSpec, _OneOf("kind", OBJECTIVES)]
AnySampler = Annotated[SamplerSpec, _OneOf("kind", SAMPLERS)]


def build_target(spec: TargetSpec) -> "Target":
    """The physical system that ``spec`` describes."""
    target: Target = _load(TARGETS[type(spec)])(spec)
    return target


def build_model(spec: ModelSpec, space: "Space", seed: int) -> "Model":
    """An untrained model on ``space``, its weights drawn from ``seed``; a family on spins serves bits too.

    Raises:
        InvalidValueError: the family cannot live on this space.
    """
    native = spec.native_space(space.spec)
    if native == space.spec:
        model: Model = _load(MODELS[type(spec)])(spec, space, seed)
        return model
    inner = _load(MODELS[type(spec)])(spec, _load("zoo.core.spaces:build_space")(native), seed)
    converted: Model = _load("zoo.models.two_valued:TwoValued")(inner, space)
    return converted


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
