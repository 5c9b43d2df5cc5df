"""Limits that are checked before anything large is made; each is a setting, and each refusal names it."""

from workers.jobs.specs import DatasetJobSpec, JobSpec, ReferenceJobSpec, TrainJobSpec
from workers.settings import PREFIX, Settings
from zoo.specs.errors import FieldError, LimitExceededError
from zoo.specs.models.base import ModelSpec
from zoo.specs.spaces import SpaceSpec


def check_job(spec: JobSpec, settings: Settings) -> None:
    """Nothing, when a job is within this installation's limits.

    Raises:
        LimitExceededError: its target, its model, its dataset or its chains are larger.
    """
    if isinstance(spec, TrainJobSpec):
        for space in spec.known_spaces:
            check_target(space, settings)
            check_model(spec.model, space, settings)
    if isinstance(spec, DatasetJobSpec):
        check_target(spec.target.space, settings)
        check_samples(spec.n, spec.target.space, settings)
    if isinstance(spec, ReferenceJobSpec):
        check_target(spec.target.space, settings)
        _check_chains(spec, spec.target.space, settings)


def check_target(space: SpaceSpec, settings: Settings, path: str = "target.shape") -> None:
    """Nothing, when the target has at most ``max_sites`` sites.

    Raises:
        LimitExceededError: it has more.
    """
    _check(space.num_sites, settings.max_sites, path, f"{space.num_sites} sites", "MAX_SITES")


def check_num_children(number: int, path: str, settings: Settings) -> None:
    """Nothing, when a sweep has at most ``max_sweep_children`` jobs.

    Raises:
        LimitExceededError: it has more.
    """
    _check(number, settings.max_sweep_children, path, f"a sweep of {number} jobs", "MAX_SWEEP_CHILDREN")


def check_sweep_bytes(size: int, settings: Settings) -> None:
    """Nothing, when the jobs of a sweep, written out, have together at most ``max_body_bytes``.

    Raises:
        LimitExceededError: they have more.
    """
    _check(size, settings.max_body_bytes, "train", f"a sweep of {size} bytes in all its jobs", "MAX_BODY_BYTES")


def check_samples(n: int, space: SpaceSpec, settings: Settings) -> None:
    """Nothing, when an answer of ``n`` samples has at most ``max_sample_values`` numbers.

    Raises:
        LimitExceededError: it has more.
    """
    _check_values(n, space, settings.max_sample_values, "MAX_SAMPLE_VALUES")


def check_job_samples(n: int, space: SpaceSpec, settings: Settings) -> None:
    """Nothing, when a job of ``n`` samples draws at most ``max_job_samples_values`` numbers.

    Raises:
        LimitExceededError: it draws more.
    """
    _check_values(n, space, settings.max_job_samples_values, "MAX_JOB_SAMPLES_VALUES")


def check_estimate(n: int, space: SpaceSpec, settings: Settings) -> None:
    """Nothing, when an estimate from ``n`` samples draws at most ``max_estimate_values`` numbers.

    Raises:
        LimitExceededError: it draws more.
    """
    _check_values(n, space, settings.max_estimate_values, "MAX_ESTIMATE_VALUES")


def check_model(spec: ModelSpec, space: SpaceSpec, settings: Settings) -> None:
    """Nothing, when the weights of a model, and what is made of them, are at most ``max_model_size`` numbers.

    Raises:
        LimitExceededError: they are more.
    """
    size = spec.working_size(space)
    asked = f"a network with {size} numbers in its weights and what is made of them"
    _check(size, settings.max_model_size, "model", asked, "MAX_MODEL_SIZE")


def _check_chains(spec: ReferenceJobSpec, space: SpaceSpec, settings: Settings) -> None:
    """Energies of every draw at every state are kept at once; configurations only while they are drawn."""
    draws = spec.length.num_chains * spec.length.num_draws * spec.num_states
    largest = settings.max_sample_values
    _check(draws, largest, "length", f"{draws} draws in {spec.num_states} states", "MAX_SAMPLE_VALUES")
    largest = settings.max_sample_values // space.num_sites
    asked = f"{spec.length.num_chains} chains of {space.num_sites} sites"
    _check(spec.length.num_chains, largest, "length.num_chains", asked, "MAX_SAMPLE_VALUES")


def _check_values(n: int, space: SpaceSpec, most: int, setting: str) -> None:
    if n > (largest := most // space.num_sites):
        msg = (
            f"{n} samples of {space.num_sites} sites asked; at most {largest} are allowed here, "
            f"{most} numbers in all (setting {PREFIX}{setting})"
        )
        raise LimitExceededError(f"n: {msg}", errors=(FieldError("n", msg, f"at most {largest}"),))


def _check(value: int, largest: int, path: str, asked: str, setting: str) -> None:
    if value > largest:
        msg = f"{asked} asked; at most {largest} are allowed here (setting {PREFIX}{setting})"
        raise LimitExceededError(f"{path}: {msg}", errors=(FieldError(path, msg, f"at most {largest}"),))
