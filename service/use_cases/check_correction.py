"""Whether the samples of a version can be corrected as was asked, known from what it is."""

from pydantic import TypeAdapter

from models_registry.versions import VersionRecord
from service.use_cases.resolve import capabilities_of, source_of
from zoo.catalog import AnyModel
from zoo.specs.corrections import Correction
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.models.base import ModelSpec
from zoo.specs.models.flow import FlowSpec

_MODELS: TypeAdapter[ModelSpec] = TypeAdapter(AnyModel)

_ALWAYS = "'metropolis' and 'importance' work with every family that has an exact density"


def check_correction(record: VersionRecord, correction: Correction) -> None:
    """Nothing, when the samples of ``record`` can have this correction.

    Raises:
        CapabilityMissingError: there is no target, no exact density, or no latent space; it says what can be done.
    """
    if correction == "none":
        return
    which = f"version {record.version} of {record.model!r}"
    if record.target is None:
        msg = (
            f"correction {correction!r} makes samples of a target's distribution, and {which} was learnt from "
            f"{source_of(record)} alone and has no target; leave the correction out, or train with a target beside it"
        )
        raise CapabilityMissingError(msg)
    has = capabilities_of(record)
    family = record.model_spec["family"]
    if has.weighs_paths and correction != "latent_hmc":
        return
    if has.log_likelihood != "exact" or not has.sampling.startswith("direct"):
        msg = (
            f"correction {correction!r} needs samples with an exact density, and family {family!r} of {which} has "
            f"sampling {has.sampling!r} and log_likelihood {has.log_likelihood!r}; leave the correction out"
        )
        raise CapabilityMissingError(msg)
    if correction == "latent_hmc" and not isinstance(_MODELS.validate_python(record.model_spec), FlowSpec):
        msg = (
            f"correction 'latent_hmc' needs a flow, a differentiable map from real latent variables, and family "
            f"{family!r} of {which} is none; {_ALWAYS}"
        )
        raise CapabilityMissingError(msg)
