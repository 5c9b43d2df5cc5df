"""`helmholtz demo`: train a network on the 8x8 Ising model through the service, and hold its answers against theory."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from helmholtz import Client, FreeEnergyResult, HelmholtzError
from helmholtz.cli.progress import TrainingProgress
from service.launcher.demo_figure import draw_figure
from service.launcher.demo_findings import Findings
from service.launcher.errors import StartError
from service.launcher.main import Stopper, refuse
from service.launcher.stack import Stack
from service.rpc.tensors import from_tensor, to_tensor
from service.rpc.v1 import inference_pb2 as pb
from service.rpc.v1 import inference_pb2_grpc
from workers.logs import configure_logging
from workers.settings import Settings
from zoo.catalog import build_chains, build_target
from zoo.core.random import RandomStream
from zoo.samplers.base import RunPlan
from zoo.specs.samplers import MetropolisSpec
from zoo.specs.targets.ising import IsingSpec

SEED = 7
NUM_SAMPLES = 10_000
MODEL = "ising-8x8"
TARGET = IsingSpec(shape=(8, 8), beta=0.44)
JOB: dict[str, Any] = {
    "kind": "train",
    "target": TARGET.model_dump(mode="json"),
    "model": {"family": "pixelcnn", "symmetry": "z2"},
    "objective": {"kind": "reverse_kl"},
    "training": {"batch_size": 1000, "max_steps": 400, "learning_rate": 0.01, "seed": 1},
    "publish": {"model": MODEL, "alias": "production"},
}

_TICK_SECONDS = 0.1
_CHAINS = 1000
_BURN_IN = 500
_SWEEPS_BETWEEN = 20


def run_demo(png: Path) -> int:
    """Run the whole stack on ports of its own in a temporary folder; exit code 0 when every answer is right."""
    stopper = Stopper()
    configure_logging("error")
    console = Console()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="helmholtz-demo-") as folder:
        stack = Stack(Settings(data_dir=Path(folder), http_port=0, grpc_port=0))
        try:
            stack.start()
            stack.wait_ready(lambda: stopper.stopped)
            console.print(f"The stack is up: REST at {stack.http_url}, gRPC at {stack.grpc_address}")
            findings = _beside(stack, stopper, console)
        except (StartError, HelmholtzError, grpc.RpcError) as error:
            return refuse(str(error))
        finally:
            stack.stop()
    if findings is None:
        return refuse("interrupted")
    draw_figure(findings, png)
    console.print(_table(findings))
    console.print(f"Picture: {png}.  {time.monotonic() - started:.0f} s in all; everything is stopped.")
    failures = findings.failures()
    for failure in failures:
        console.print(f"[red]not as it should be: {failure}[/red]")
    return 1 if failures else 0


def _beside(stack: Stack, stopper: Stopper, console: Console) -> Findings | None:
    """The findings, asked for in a thread while this one keeps the stack alive; None when interrupted."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(_investigate, stack.http_url, stack.grpc_address, console)
        while not future.done():
            if stopper.stopped:
                stack.stop()  # ends the thread's requests
                future.exception()
                return None
            stack.tick()
            time.sleep(_TICK_SECONDS)
        return future.result()


def _investigate(http_url: str, grpc_address: str, console: Console) -> Findings:
    with Client(http_url, timeout=120) as client:
        job = client.submit(JOB)
        with TrainingProgress(console, f"Training {JOB['model']['family']}", TARGET.beta) as progress:
            client.wait(job, on_event=progress)
        console.print("Asking for samples, log-likelihoods and the free energy, over HTTP and gRPC ...")
        started = time.perf_counter()
        drawn = client.sample(MODEL, NUM_SAMPLES, seed=SEED)
        seconds = time.perf_counter() - started
        detailed = client.sample(MODEL, NUM_SAMPLES, seed=SEED, include=("log_prob", "energy"))
        likelihood = client.log_likelihood(MODEL, drawn.samples).log_likelihood
        result = client.free_energy(MODEL, n=NUM_SAMPLES, seed=SEED)
        loss, beta = client.metrics(job, "loss"), client.metrics(job, "beta")
    log_prob, energies = detailed.log_prob, detailed.energy
    if log_prob is None or energies is None:
        msg = "log_prob and energy were asked for and did not come"
        raise HelmholtzError(msg)
    scale = np.maximum(1, np.abs(log_prob))
    return Findings(
        target=TARGET,
        loss=loss,
        beta=beta,
        samples=drawn.samples,
        energies=energies,
        chain_energies=_metropolis_energies(),
        free_energy=result,
        samples_per_second=NUM_SAMPLES / seconds,
        protocols_agree=_agrees_over_grpc(grpc_address, drawn.samples, likelihood, result),
        likelihood_deviation=float(np.max(np.abs(likelihood - log_prob) / scale)),
    )


def _agrees_over_grpc(
    address: str, samples: NDArray[np.generic], likelihood: NDArray[np.float64], result: FreeEnergyResult
) -> bool:
    """Whether gRPC gives the same bits as HTTP for the same seed."""
    model = pb.ModelReference(model=MODEL)
    with closing(grpc.insecure_channel(address)) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        chunks = stub.Sample(pb.SampleRequest(model=model, n=NUM_SAMPLES, seed=SEED), timeout=60)
        drawn = np.concatenate([from_tensor(chunk.samples) for chunk in chunks])
        request = pb.LogLikelihoodRequest(model=model, samples=to_tensor(drawn))
        answered = from_tensor(stub.LogLikelihood(request, timeout=60).log_likelihood)
        updates = list(stub.FreeEnergy(pb.FreeEnergyRequest(model=model, n=NUM_SAMPLES, seed=SEED), timeout=60))
    return (
        np.array_equal(drawn, samples)
        and np.array_equal(answered, likelihood)
        and updates[-1].result.beta_f == result.beta_f
    )


def _metropolis_energies() -> NDArray[np.float64]:
    """Energies of independent Markov chains at the same temperature."""
    plan = RunPlan(num_draws=NUM_SAMPLES // _CHAINS, burn_in=_BURN_IN, thin=_SWEEPS_BETWEEN)
    chains = build_chains(MetropolisSpec(), build_target(TARGET), TARGET.beta)
    energies: NDArray[np.float64] = chains.run(_CHAINS, plan, RandomStream(SEED)).energies.numpy()
    return energies.reshape(-1)


def _table(findings: Findings) -> Table:
    result = findings.free_energy
    diagnostics, exact, bound = result.diagnostics, result.exact, result.upper_bound
    table = Table(title=f"Ising 8x8 at beta {TARGET.beta}: pixelcnn against the exact solution", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    rows = [
        ("variational bound", f"{bound.beta_f:.5f} +- {bound.standard_error:.5f}" if bound else "-", "beta_f <= this"),
        ("importance sampling", f"{result.beta_f:.5f} +- {result.standard_error:.5f}", "unbiased in Z"),
        ("exact", f"{exact.beta_f:.8f}" if exact else "-", exact.method if exact else ""),
        ("deviation", f"{result.deviation_in_sigma:+.2f} sigma", ""),
        ("variational gap", f"{findings.gap_per_site:.2e}", "per site"),
        (
            "effective sample size",
            f"{diagnostics.effective_sample_size:.0f} of {diagnostics.num_samples}",
            f"fraction {diagnostics.effective_sample_fraction:.3f}",
        ),
        ("samples per second", f"{findings.samples_per_second:.0f}", "over HTTP"),
        ("REST = gRPC", "yes" if findings.protocols_agree else "NO", "same seed, same bits"),
    ]
    for row in rows:
        table.add_row(*row)
    return table
