"""The service against the bare module and against LitServe, BentoML, MLServer and FastAPI, in one run.

    python -m benchmarks.serving [--peers LitServe,BentoML,MLServer,FastAPI] [--output docs/results]

Everybody serves the same torch module with the same weights on the same two cores, which the load generator shares; the
response cache is off; answers to small requests are JSON.  Peers are installed into environments of their own, with
their batching turned on.  Prints tables and writes them to ``serving.md``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from benchmarks.serving import determinism, large_answers, models
from benchmarks.serving.load import Load, Measured
from benchmarks.serving.releases import RELEASES
from benchmarks.serving.servers import Server, helmholtz, peer
from benchmarks.settings import machine

CORES = 2
THREADS = 2
"""Of the engine, of the bare module and of every peer."""
ROUNDS = 3
SERVED = (("pixelcnn", 1000, 0.85), ("pixelcnn", 4000, 0.85), ("made", 4096, 0.60))
"""Model, configurations of a request, the least part of the bare module's samples/s; the bar of 0.85 holds for calls
of 100 ms and more."""
SMALL = 16
ADDED_SECONDS = 0.004
CROWD = 32


class Table:
    """Lines of the report, printed as they come, and the bars that were missed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.missed: list[str] = []

    def add(self, *lines: str) -> None:
        """More lines."""
        self.lines += lines
        print(*lines, sep="\n", flush=True)

    def judge(self, what: str, *, holds: bool) -> str:
        """A word for the table."""
        if not holds:
            self.missed.append(what)
        return "yes" if holds else "**no**"


def main() -> None:
    """Measure, print the tables and write them down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=",".join(RELEASES))
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    os.sched_setaffinity(0, range(min(CORES, os.cpu_count() or 1)))
    table = Table()
    table.add(
        "# Serving: the service, the bare module and other servers",
        "",
        "Regenerate with `make bench NAME=serving`.",
        "",
    )
    with tempfile.TemporaryDirectory(prefix="helmholtz-serving-") as name, ExitStack() as stack:
        folder, data_dir = Path(name), Path(name) / "data"
        ours = stack.enter_context(
            helmholtz(data_dir, engine_threads=str(THREADS), response_cache_bytes="0", caller_share="1")
        )
        models.publish(ours.url)
        modules = models.save(data_dir, folder)
        idle(table, ours)
        against_bare(table, ours, modules)
        against_peers(table, ours, modules["made"], [name for name in arguments.peers.split(",") if name], folder)
        formats(table, ours)
    table.add("", f"{machine()}; {THREADS} threads for each server, seeds count from 1.")
    if table.missed:
        table.add("", "Bars missed:", "", *(f"- {one}" for one in table.missed))
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "serving.md").write_text("\n".join(table.lines) + "\n")
    if table.missed:
        sys.exit("bars missed")


def idle(table: Table, ours: Server) -> None:
    """What a stack without requests takes."""
    time.sleep(3)
    before, started = ours.cpu_seconds(), time.monotonic()
    time.sleep(20)
    share = (ours.cpu_seconds() - before) / (time.monotonic() - started)
    gateway = next(p for p in ours.processes() if "service.gateway" in " ".join(p.cmdline()))
    memory = gateway.memory_info().rss / 2**20
    fine = table.judge(
        f"idle: {100 * share:.1f} % of a core, gateway {memory:.0f} MB", holds=share < 0.03 and memory < 180
    )
    table.add(
        "## Idle",
        "",
        f"All processes together: {100 * share:.1f} % of a core (bar: 3 %); gateway {memory:.0f} MB (180 MB): {fine}.",
        "",
    )


def against_bare(table: Table, ours: Server, modules: dict[str, Path]) -> None:
    """Samples per second as npy at concurrency 8, and of the module alone, in turns."""
    table.add(
        "## Against the bare module",
        "",
        f"npy, concurrency 8, {ROUNDS} rounds in turns, medians; processor time of the whole service for each MB sent.",
        "",
        "| model | n | bare call, ms | bare, samples/s | served, samples/s | ratio (range) | bar | met "
        "| service, core-ms/MB | generator, core-ms/MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    )
    for model, n, bar in SERVED:
        calls, ratios, rates, ours_ms, load_ms = [], [], [], [], []
        for _ in range(ROUNDS):
            alone = median(bare(modules[model], n))
            before = ours.cpu_seconds()
            found = run(load_of(ours, model, n, 8, "application/x-npy"))
            spent, megabytes = ours.cpu_seconds() - before, found.bytes_in_all / 1e6
            calls.append(alone)
            rates.append(found.requests_per_second * n)
            ratios.append(rates[-1] * alone / n)
            ours_ms.append(1e3 * spent / megabytes)
            load_ms.append(1e3 * found.cpu_seconds / megabytes)
        ratio, call = median(ratios), median(calls)
        binding = bar < 0.85 or call >= 0.1
        met = table.judge(f"{model} at n = {n}: {ratio:.2f} of the bare module", holds=ratio >= bar) if binding else "-"
        table.add(
            f"| {model} | {n} | {1e3 * call:.1f} | {n / call:,.0f} | {median(rates):,.0f} | **{ratio:.2f}** "
            f"({min(ratios):.2f} to {max(ratios):.2f}) | {bar if binding else 'none below 100 ms'} | {met} "
            f"| {median(ours_ms):.1f} | {median(load_ms):.1f} |"
        )
    table.add("")


def against_peers(table: Table, ours: Server, module: Path, names: list[str], folder: Path) -> None:
    """Small requests of everybody, one server at a time; ours before and after the others: the worse one counts."""
    call = median(bare(module, SMALL))
    table.add(
        "## Small requests",
        "",
        f"`made` 8x8, n = {SMALL}, JSON; the bare call takes {1e3 * call:.2f} ms. Peers: "
        + ", ".join(RELEASES[name][0] for name in names)
        + ".",
        "",
        "| server | p50 at 1, ms | p99 at 1, ms | requests/s at 32 | p50 at 32, ms | p99 at 32, ms "
        f"| processor, ms per request | stable | other spins in a crowd, of {determinism.NUM_REQUESTS} |",
        "|---|---|---|---|---|---|---|---|---|",
    )
    own = replace(ours, path="/v1/models/made:sample")
    first = small(table, own)
    found = {}
    for name in names:
        inner = folder / name
        inner.mkdir()
        with peer(name, module, THREADS, inner) as server:
            found[name] = small(table, server)
    calls, mine = (call, median(bare(module, SMALL))), (first, small(table, own))
    added = max(one.p50 - alone for (one, _), alone in zip(mine, calls, strict=True))
    word = table.judge(f"p50 at concurrency 1 is the bare call + {1e3 * added:.1f} ms", holds=added <= ADDED_SECONDS)
    table.add("", f"p50 at concurrency 1: the bare call + {1e3 * added:.2f} ms (bar: + 4 ms): {word}.")
    judged = {name: pair for name, pair in found.items() if name != "FastAPI"}
    if judged:
        best = max(pair[1].requests_per_second for pair in judged.values())
        lowest = min(pair[1].p99 for pair in judged.values())
        ratio = min(many.requests_per_second for _, many in mine) / best
        tail = max(many.p99 for _, many in mine) / lowest
        fast = table.judge(f"requests/s at 32: {ratio:.2f} of the best peer", holds=ratio >= 1)
        short = table.judge(f"p99 at 32: {tail:.2f} of the lowest of the peers", holds=tail < 1)
        table.add(
            f"Requests/s at concurrency 32: {ratio:.2f} times the best of {', '.join(judged)} (bar: 1): {fast}.",
            f"p99 there: {tail:.2f} times the lowest of theirs (bar: below 1): {short}.",
        )
    table.add("")


def small(table: Table, server: Server) -> tuple[Measured, Measured]:
    """One row: at concurrency 1 and at 32."""
    one = run(server.load(SMALL, 1))
    before = server.cpu_seconds()
    many = run(server.load(SMALL, CROWD))
    spent = 1e3 * (server.cpu_seconds() - before) / max(1, many.answers_in_all)
    other = determinism.differing(server, SMALL)
    steady = "yes" if one.is_stable and many.is_stable else "no"
    if failed := sum(number for status, number in many.statuses.items() if status != 200):
        steady += f", {failed} failed"
    table.add(
        f"| {server.name} | {1e3 * one.p50:.2f} | {1e3 * one.p99:.2f} | {many.requests_per_second:,.0f} "
        f"| {1e3 * many.p50:.1f} | {1e3 * many.p99:.1f} | {spent:.2f} | {steady} "
        f"| {other} |"
    )
    return one, many


def formats(table: Table, ours: Server) -> None:
    """Large answers."""
    found = large_answers.measure(ours)
    seconds = found.seconds
    table.add(
        "## Large answers",
        "",
        f"`mean_field`, {large_answers.NUM_SAMPLES:,} configurations of 32x32 spins: from the request to an array "
        f"in the client, medians of {large_answers.ROUNDS} rounds in turns.",
        "",
        "| format | ms | MB on the wire | gateway grows by, MB |",
        "|---|---|---|---|",
        *(
            f"| {name} | {1e3 * took:.0f} | {found.num_bytes[name] / 1e6:.1f} | {found.growth[name] / 2**20:.0f} |"
            for name, took in seconds.items()
        ),
        "",
    )
    faster, stream = seconds["json"] / seconds["npy"], seconds["grpc"] / seconds["npy"]
    growth = max(found.growth["npy"], found.growth["grpc"]) / 2**20
    table.add(
        f"JSON takes {faster:.1f} times as long as npy (bar: 10): "
        f"{table.judge(f'npy is {faster:.1f} times faster than JSON', holds=faster >= 10)}; gRPC {stream:.2f} times "
        f"(bar: 1.2): {table.judge(f'gRPC takes {stream:.2f} times as long as npy', holds=stream <= 1.2)}; growth of "
        f"the gateway with npy and gRPC at most {growth:.0f} MB (bar: 64 MB): "
        f"{table.judge(f'the gateway grows by {growth:.0f} MB', holds=growth < 64)}."
    )


def load_of(ours: Server, model: str, n: int, concurrency: int, accept: str) -> Load:
    """Askers of one of our models."""
    return replace(ours, path=f"/v1/models/{model}:sample").load(n, concurrency, accept)


def run(load: Load) -> Measured:
    """What the load generator measures, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serving.load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)), capture_output=True, text=True, check=True)  # noqa: S603
    found = json.loads(done.stdout)
    return Measured(**found | {"statuses": {int(status): number for status, number in found["statuses"].items()}})


def bare(module: Path, n: int, seconds: float = 5.0) -> list[float]:
    """Seconds per call of the module alone, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serving.bare", str(module), str(n), str(THREADS), str(seconds)]
    calls: list[float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603
    return calls


if __name__ == "__main__":
    main()
