"""How a model is trained, as a user writes it."""

from typing import Literal

from pydantic import Field

from zoo.specs.base import Spec


class StopWhen(Spec):
    """Reasons to stop before ``max_steps``; the first that holds ends the training."""

    effective_sample_fraction_above: float | None = Field(default=None, gt=0, lt=1)
    """Stop when the effective sample fraction, measured on at least 10,000 recent training samples, is above this."""
    plateau_steps: int | None = Field(default=None, ge=1)
    """Stop when the smoothed loss has not improved for this many steps."""


class TrainingSpec(Spec):
    """The loop around an objective."""

    batch_size: int = Field(default=1000, ge=2, le=1_000_000)
    max_steps: int = Field(default=1000, ge=1, le=100_000_000)
    max_seconds: float | None = Field(default=None, gt=0)
    """Computing time after which the training stops at the step it has reached."""
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    learning_rate_schedule: Literal["constant", "cosine"] = "cosine"
    """``cosine`` falls from ``learning_rate`` to zero at ``max_steps``."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly from zero."""
    gradient_clip_norm: float | None = Field(default=1.0, gt=0)
    """Largest Euclidean norm of the gradient of all parameters."""
    beta_anneal_steps: int = Field(default=0, ge=0)
    """Steps over which beta rises to the target's: beta (1 - 0.998^step) in Wu et al.; here linearly from 0."""
    seed: int = Field(default=0, ge=0, le=2**53 - 1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_every_seconds: float = Field(default=30, gt=0)
    stop_when: StopWhen = StopWhen()
