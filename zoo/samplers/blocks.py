"""Chains in blocks: what a thread updates at a time, small enough for its cache, the same for any number of threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64

from zoo.samplers.base import Beta
from zoo.specs.errors import InvalidValueError


def chain_blocks(num_chains: int, num_sites: int, sites_per_block: int) -> list[slice]:
    """The chains cut into blocks of about ``sites_per_block`` sites, at least one chain each."""
    width = max(1, sites_per_block // num_sites)
    return [slice(start, min(start + width, num_chains)) for start in range(0, num_chains, width)]


def in_threads(work: Callable[[int], None], count: int) -> None:
    """``work(0)`` .. ``work(count - 1)``, spread over as many threads as torch uses for its own operations."""
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        for index in range(count):
            work(index)
    else:
        for _ in _pool(threads).map(work, range(count)):
            pass


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="chains")


def betas_of(beta: Beta) -> Float64[np.ndarray, " chain"]:
    """The inverse temperatures as an array: one for each chain, or a single one for all."""
    if isinstance(beta, torch.Tensor):
        return beta.detach().cpu().to(torch.float64).numpy().reshape(-1)
    return np.array([beta], dtype=np.float64)


def of_block(per_chain: np.ndarray, chains: slice) -> np.ndarray:
    """The part of an array whose last axis is one value for all chains, or one for each, that belongs to a block."""
    return per_chain if per_chain.shape[-1] == 1 else per_chain[..., chains]


def check_num_chains(beta: Beta, num_chains: int) -> None:
    """Nothing, when ``num_chains`` chains can have ``beta``.

    Raises:
        InvalidValueError: a beta for each chain, of another number of chains.
    """
    if isinstance(beta, torch.Tensor) and beta.numel() not in (1, num_chains):
        msg = f"{num_chains} chains were asked, and beta has {beta.numel()} values; give one for each chain"
        raise InvalidValueError(msg)
