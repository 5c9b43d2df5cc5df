"""Whether a seed has one answer: requests alone, and the same ones in a crowd."""

import asyncio
import hashlib
import json

import aiohttp
import numpy as np

from benchmarks.serving.servers import JSON_HEADERS, Server

NUM_REQUESTS = 96
CROWD = 32


def differing(server: Server, n: int) -> int:
    """Of 96 requests for ``n`` configurations, how many get other spins in a crowd of 32 than alone."""
    return asyncio.run(_differing(server, n))


async def _differing(server: Server, n: int) -> int:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session:

        async def ask(seed: int) -> str:
            body = server.body(n).replace("{seed}", str(seed))
            async with session.post(server.url + server.path, data=body, headers=JSON_HEADERS) as answer:
                answer.raise_for_status()
                return _digest(json.loads(await answer.read()))

        seeds = range(1, NUM_REQUESTS + 1)
        alone = [await ask(seed) for seed in seeds]
        room = asyncio.Semaphore(CROWD)

        async def ask_in_crowd(seed: int) -> str:
            async with room:
                return await ask(seed)

        crowd = await asyncio.gather(*(ask_in_crowd(seed) for seed in seeds))
    return sum(a != b for a, b in zip(alone, crowd, strict=True))


def _digest(answer: object) -> str:
    """Of the spins alone, wherever a protocol has them."""
    match answer:
        case {"samples": spins}:
            pass
        case {"outputs": [{"data": spins}]}:
            pass
        case spins:
            pass
    return hashlib.sha256(np.asarray(spins, np.int8).tobytes()).hexdigest()
