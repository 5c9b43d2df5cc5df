"""How a model is trained, as a user writes it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from zoo.specs.base import Spec


class StopWhen(Spec):
    """Reasons to stop before ``max_steps``; the first that holds ends the training."""

    effective_sample_fraction_above: float | None = Field(default=None, gt=0, lt=1)
    """Stop when the effective sample fraction, measured on at least 10,000 recent training samples, is above this."""
    plateau_steps: int | None = Field(default=None, ge=1)
    """Stop when the smoothed loss, or that of held-out data where a model learns from data alone, has not improved for
    so many steps."""


class TrainingSpec(Spec):
    """The loop around an objective."""

    batch_size: int = Field(default=1000, ge=2, le=1_000_000)
    max_steps: int = Field(default=1000, ge=1, le=100_000_000)
    max_seconds: float | None = Field(default=None, gt=0)
    """Computing time after which the training stops at the step it has reached."""
    learning_rate: float = Field(default=3e-3, gt=0, le=10)
    learning_rate_schedule: Literal["constant", "cosine"] = "cosine"
    """``cosine`` falls from ``learning_rate`` to zero at ``max_steps``."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly from zero."""
    gradient_clip_norm: float | None = Field(default=1.0, gt=0)
    """Largest Euclidean norm of the gradient of all parameters."""
    beta_anneal_steps: int | None = Field(default=None, ge=0)
    """Steps over which beta rises linearly from 0 to the target's; by default a fifth of ``max_steps``."""
    seed: int = Field(default=0, ge=0, le=2**53 - 1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    held_out_fraction: float = Field(default=0.1, ge=0, le=0.5)
    """Part of the data that is not learnt from, by which the model is judged; at least one configuration unless 0."""
    evaluate_every: int = Field(default=50, ge=1, le=100_000_000)
    """Steps between evaluations on held-out data, where a model learns from data alone; the best weights are kept."""
    checkpoint_every_seconds: float = Field(default=30, gt=0)
    stop_when: StopWhen = StopWhen()

    @property
    def anneal_steps(self) -> int:
        """Steps before beta is the target's."""
        return self.max_steps // 5 if self.beta_anneal_steps is None else self.beta_anneal_steps

    @model_validator(mode="after")
    def _reaches_the_target(self) -> Self:
        if self.anneal_steps > self.max_steps:
            msg = (
                f"beta_anneal_steps is {self.beta_anneal_steps}; expected at most max_steps, which is {self.max_steps}"
            )
            raise ValueError(msg)
        return self
