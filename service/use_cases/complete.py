"""Complete partly known configurations; and the probability of what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_registry.versions import VersionRecord
from service.context import Context
from service.limits import check_samples
from service.use_cases.draw_samples import Part, compute_seconds, joined, seed_or_new
from service.use_cases.off_the_loop import off_the_loop
from service.use_cases.resolve import Condition, capabilities_of, resolve_condition, resolve_version, space_of
from zoo.specs.arrays import Array
from zoo.specs.errors import CapabilityMissingError
from zoo.specs.masks import Mask, as_partly_known
from zoo.specs.requests import CompletionOptions


@dataclass(frozen=True)
class PartlyKnown:
    """Configurations, shape (m, *event_shape), and a mask, True where known, of their shape or of one event's."""

    samples: Array
    mask: Mask


@dataclass(frozen=True)
class Completions:
    """``samples`` (m, n, *event_shape), and of each configuration ln q of its known part, float64, shape (m,).

    Where not ``exact``, all of it rests on ``effective_sample_size`` (m,) of ``num_proposals`` for each configuration.
    """

    record: VersionRecord
    condition: Condition
    seed: int
    samples: Array
    exact: bool
    log_marginal: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    effective_sample_size: NDArray[np.float64]
    num_proposals: int
    warnings: tuple[str, ...]
    compute_seconds: float

    @property
    def diagnostics(self) -> dict[str, Any]:
        """What the completions rest on, and what is to be said against them."""
        warnings = [*self.condition.warnings, *self.warnings]
        proposed: dict[str, Any] = (
            {}
            if self.exact
            else {"num_proposals": self.num_proposals, "effective_sample_size": self.effective_sample_size.tolist()}
        )
        return proposed | {"reliable": not warnings, "warnings": warnings}

    @property
    def summary(self) -> dict[str, Any]:
        """The same without the numbers of each configuration."""
        return {name: value for name, value in self.diagnostics.items() if name != "effective_sample_size"}


@dataclass(frozen=True)
class MarginalWish:
    """At which conditions, by how many proposals where it is not exact, with which seed; and ``n`` completions."""

    condition: Mapping[str, float]
    proposals: int
    seed: int | None
    n: int = 0


async def complete(
    context: Context, model: str, ref: str | None, known: PartlyKnown, asked: CompletionOptions, seconds: float
) -> Completions:
    """``n`` draws of the missing part of each configuration given the known one.

    Raises:
        NotFoundError: no such version.
        CapabilityMissingError: the family does not complete, or is not conditioned on what was asked.
        InvalidValueError: a mask that does not fit, or a known value outside the space, naming the first offender.
        LimitExceededError: more numbers, or more proposals, than one answer may have.
        NumericalError: the model gives the known part of a configuration no probability.
    """
    record = await resolve_version(context, model, ref)
    wish = MarginalWish(asked.asked, asked.proposals, asked.seed, asked.n)
    return await marginal_log_likelihood(context, record, known, wish, seconds)


async def marginal_log_likelihood(
    context: Context, record: VersionRecord, known: PartlyKnown, wish: MarginalWish, seconds: float
) -> Completions:
    """Ln q of the known part of each configuration, and ``wish.n`` completions; raises as ``complete`` does."""
    _check_completes(record)
    condition, space = resolve_condition(record, wish.condition), space_of(record)
    configurations, mask = await off_the_loop(known.samples.nbytes, as_partly_known, known.samples, known.mask, space)
    check_samples(len(configurations) * max(wish.n, 1), space, context.settings)
    seed = seed_or_new(wish.seed)
    payload = {
        "model": record.model,
        "version": record.version,
        "condition": condition.values,
        "samples": configurations,
        "mask": mask,
        "n": wish.n,
        "proposals": wish.proposals,
        "seed": seed,
        "max_values": context.settings.max_estimate_values,
    }
    parts: list[Part] = [part async for part in context.engine.ask("complete", payload, seconds)]
    arrays = joined(parts)
    return Completions(
        record=record,
        condition=condition,
        seed=seed,
        samples=arrays["samples"],
        exact=parts[-1]["exact"],
        log_marginal=arrays["log_marginal"].astype(np.float64),
        standard_error=arrays["standard_error"].astype(np.float64),
        effective_sample_size=arrays["effective_sample_size"].astype(np.float64),
        num_proposals=wish.proposals,
        warnings=tuple(parts[-1]["warnings"]),
        compute_seconds=compute_seconds(parts),
    )


def _check_completes(record: VersionRecord) -> None:
    if not capabilities_of(record).conditional_completion:
        msg = (
            f"family {record.model_spec['family']!r} cannot be asked for one part of a configuration given the rest; "
            "families whose capability conditional_completion is true can, see /v1/zoo/models"
        )
        raise CapabilityMissingError(msg)
