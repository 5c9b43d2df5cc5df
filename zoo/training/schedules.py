"""What changes with the step: inverse temperature and learning rate, as pure functions."""

from math import cos, pi

from zoo.specs.training import TrainingSpec


def annealed_at(step: int, spec: TrainingSpec) -> float:
    """The part of the way to the target's beta at ``step``: linear from 0 at step 0 to 1 at ``anneal_steps``."""
    return 1.0 if step >= spec.anneal_steps else step / spec.anneal_steps


def learning_rate_at(step: int, spec: TrainingSpec) -> float:
    """Learning rate of ``step``: linear warm-up times the schedule, a half cosine that reaches 0 at ``max_steps``."""
    warmup = min(1.0, (step + 1) / spec.warmup_steps) if spec.warmup_steps else 1.0
    if spec.learning_rate_schedule == "constant":
        return spec.learning_rate * warmup
    return spec.learning_rate * warmup * (1 + cos(pi * step / spec.max_steps)) / 2
