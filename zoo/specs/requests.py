"""Questions to a trained model, as a user writes them."""

from typing import Annotated, Literal

from pydantic import Field

from zoo.specs.base import Spec

MAX_SEED = 2**53 - 1

Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)]
Count = Annotated[int, Field(strict=True, ge=1)]


class SampleRequest(Spec):
    """Independent samples of a model."""

    n: Count
    """Number of samples, at least 1."""
    seed: Seed | None = None
    """0 to 2^53 - 1; the same seed gives the same bits.  Without one the service picks one and tells it."""
    beta: float | None = Field(default=None, gt=0)
    """Inverse temperature, for models conditioned on it; others answer at the one they were trained at."""
    correction: Literal["none"] = "none"
    include: tuple[Literal["log_prob", "energy"], ...] = ()
    """What to answer beside the samples; both together give ``log_weight`` too."""


class LogLikelihoodRequest(Spec):
    """ln q of given configurations, shape (n, *event_shape)."""

    samples: list[object]


class FreeEnergyRequest(Spec):
    """The free energy of the system that a model was trained on."""

    method: Literal["auto", "variational", "importance"] = "auto"
    """``auto`` takes importance weights where the model has an exact density."""
    n: Count = 10_000
    """Number of model samples."""
    beta: float | None = Field(default=None, gt=0)
    seed: Seed | None = None
