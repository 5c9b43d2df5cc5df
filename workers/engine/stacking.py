"""How many rows of shared tiles are computed at once, with the bits that they have in a tile of their own."""

from dataclasses import dataclass

import structlog
import torch

from zoo.core.models import Weighable
from zoo.core.random import RandomStream
from zoo.core.tiles import SHARED_ROWS

log = structlog.get_logger()

STACKS = (64, 128, 256)
_LONGEST_NANOSECONDS = 2e7  # of the largest stack: where rows take longer, the passes over the sites do not matter
_SEED = 20_040_229


@dataclass
class Stacking:
    """What has been found out about a model: ``rows`` is 32 until more have been tried."""

    rows: int = SHARED_ROWS
    tried: bool = False

    def try_once(self, model: Weighable, nanoseconds: float) -> None:
        """Find out for how many rows samples and likelihoods have the very bits that they have in tiles of 32.

        A pass over all sites costs most of what a tile of 32 rows does, whatever the number of its rows.  A matrix
        product with more rows may sum in another order, though; which ones do is a matter of the processor and of the
        shapes, so the network itself is tried, with every conditional of 256 rows.
        """
        if self.tried:
            return
        self.tried = True
        if STACKS[0] * nanoseconds <= _LONGEST_NANOSECONDS:
            try:
                self.rows = _largest_equal(model)
            except Exception:  # whoever came first asked for something else
                log.exception("stacks could not be tried")


def _largest_equal(model: Weighable) -> int:
    """The largest number of rows up to which every bit is that of tiles of 32."""
    most, found = STACKS[-1], SHARED_ROWS
    tiles = [_drawn(model, SHARED_ROWS, first) for first in range(0, most, SHARED_ROWS)]
    alone = [torch.cat(arrays) for arrays in zip(*tiles, strict=True)]
    for rows in STACKS:
        stacks = [_drawn(model, rows, first) for first in range(0, most, rows)]
        together = [torch.cat(arrays) for arrays in zip(*stacks, strict=True)]
        if not all(torch.equal(one, other) for one, other in zip(together, alone, strict=True)):
            break
        found = rows
    return found


def stack_of(used: int) -> int:
    """The number of rows that are computed for ``used`` ones of shared tiles."""
    return next(rows for rows in (SHARED_ROWS, *STACKS) if rows >= used)


@torch.inference_mode()
def _drawn(model: Weighable, rows: int, first: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Samples, their log-probabilities on the way, and their log-probabilities by one pass."""
    rng = RandomStream(_SEED, first=first)
    x, log_ratio = model.sample_and_log_ratio(rows, rng)
    return x, log_ratio, model.log_ratio(x, rng)
