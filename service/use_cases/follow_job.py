"""Follow a job: its events as they are committed, from any point, until it ends."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from anyio.to_thread import run_sync

from service.context import Context
from service.use_cases.read_job import read_job
from workers.jobs.events import events_after
from workers.jobs.states import TERMINAL

POLL_SECONDS = 0.25


async def follow_job(context: Context, job_id: str, last_id: int) -> AsyncGenerator[dict[str, Any] | None, None]:
    """Events with an id above ``last_id``; None when nothing has happened for a while; ends after the terminal state.

    Raises:
        NotFoundError: no such job.
    """
    await read_job(context, job_id)

    def read(after: int) -> list[dict[str, Any]]:
        with context.database.read() as connection:
            return events_after(connection, job_id, after)

    while not context.draining:
        ended = (await read_job(context, job_id)).state in TERMINAL
        events = await run_sync(read, last_id)
        for event in events:
            last_id = event["id"]
            yield event
        if ended and not events:
            return
        if not events:
            yield None
            await asyncio.sleep(POLL_SECONDS)
