"""Whether a job of samples can be drawn, before it is queued: what it means is settled then, and does not change."""

from models_registry.versions import VersionRecord, Versions
from service.limits import check_job_samples
from service.use_cases.check_correction import check_correction
from service.use_cases.draw_samples import seed_or_new
from service.use_cases.resolve import capabilities_of, check_ready, resolve_condition, space_of, target_of
from workers.jobs.specs import SampleJobSpec
from workers.settings import Settings
from zoo.specs.errors import CapabilityMissingError, FieldError, InvalidValueError


def resolved_sample_job(spec: SampleJobSpec, versions: Versions, settings: Settings) -> SampleJobSpec:
    """The job with the number and digest of its version, a value of each condition, and a seed.

    It is a job as a user may write it, and resolves to itself.

    Raises:
        NotFoundError: no such model, version or alias.
        CorruptArtifactError: the version is quarantined.
        CapabilityMissingError: its family has no samples; another beta than the trained one; energies without a target;
            a correction that the version cannot have.
        InvalidValueError: a condition without a value, or far outside its range; or the version has another digest.
        LimitExceededError: more numbers than one job may draw.
    """
    record = versions.resolve(spec.model, spec.ref)
    check_ready(record)
    _check_digest(spec, record)
    _check_has_samples(record)
    condition = resolve_condition(record, spec.asked)
    if "energy" in spec.include:
        target_of(record)
    check_correction(record, spec.correction)
    check_job_samples(spec.n, space_of(record), settings)
    settled = {
        "ref": str(record.version),
        "digest": record.digest,
        "beta": None,
        "condition": condition.values,
        "seed": seed_or_new(spec.seed),
    }
    return spec.model_copy(update=settled)


def _check_digest(spec: SampleJobSpec, record: VersionRecord) -> None:
    if spec.digest not in {None, record.digest}:
        message = f"{spec.digest} was asked, and version {record.version} of {record.model!r} has {record.digest}"
        raise InvalidValueError(f"digest: {message}", errors=(FieldError("digest", message, record.digest),))


def _check_has_samples(record: VersionRecord) -> None:
    if capabilities_of(record).sampling == "none":
        family = record.model_spec["family"]
        msg = f"family {family!r} has no samples and no likelihoods; it can be asked for its free energy, at any beta"
        raise CapabilityMissingError(msg)
