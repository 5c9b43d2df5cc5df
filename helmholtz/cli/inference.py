"""``helmholtz sample``, ``draw``, ``log-likelihood``, ``free-energy`` and ``curve``: the three questions."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from helmholtz.cli import display, jobs
from helmholtz.cli.inputs import assignments, check_output, grid, read_samples, write_arrays
from helmholtz.cli.session import session
from helmholtz.draws import check_file_name

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model")]
Ref = Annotated[str | None, typer.Option(help="Version number or alias [default: production, else the newest]")]
Seed = Annotated[int | None, typer.Option(help="Same seed, same answer; without one the service draws it and says so")]

Conditions = Annotated[
    list[str] | None,
    typer.Option("--condition", metavar="NAME=VALUE", help="Value of a condition: beta, h, J, label; repeatable"),
]


class Correction(StrEnum):
    """How samples of a model become samples of its target."""

    NONE = "none"
    IMPORTANCE = "importance"
    METROPOLIS = "metropolis"
    LATENT_HMC = "latent_hmc"


class Include(StrEnum):
    """What can come with samples."""

    LOG_PROB = "log_prob"
    ENERGY = "energy"


_CORRECTION = "helmholtz.correction"


def _remember_correction(context: typer.Context, value: Correction) -> None:
    context.meta[_CORRECTION] = value


def carry_correction(
    correction: Annotated[
        Correction,
        typer.Option(
            help="Make them samples of the target: with weights, or by Markov chains",
            callback=_remember_correction,
            expose_value=False,
        ),
    ] = Correction.NONE,
) -> None:
    """Carries the option ``--correction``: ``sample`` and ``draw`` have as many parameters as a function may have."""


def sample(
    context: typer.Context,
    model: ModelName,
    n: Annotated[int, typer.Option("-n", help="Number of configurations")] = 1,
    seed: Seed = None,
    ref: Ref = None,
    include: Annotated[
        list[Include] | None, typer.Option(metavar="NAME", help="Also log_prob or energy; repeatable")
    ] = None,
    condition: Conditions = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .npy, or .npz with what is included")] = None,
) -> None:
    """Draw configurations from a model."""
    extras, correction = [str(name) for name in include or ()], context.meta.get(_CORRECTION, Correction.NONE)
    with session(context) as s:
        check_output(out, 1 + len(extras) + (correction is Correction.IMPORTANCE))
        values = assignments(condition or (), "--condition")
        result = s.client.sample(model, n, seed, ref, extras, values, str(correction))
        names = ("samples", "log_prob", "energy", *(["log_weight"] if correction is Correction.IMPORTANCE else []))
        fields = result.model_dump(mode="json", exclude=set(names) if out else None)
        if out is not None:
            write_arrays(out, {name: getattr(result, name) for name in names})
            fields |= {"out": str(out), "shape": list(result.samples.shape), "dtype": str(result.samples.dtype)}
        hint = str(out) if out else "nowhere (--out samples.npy writes them, --json prints them)"
        s.answer(fields, display.sample_facts(result, hint))


def draw(
    context: typer.Context,
    model: ModelName,
    n: Annotated[int, typer.Option("-n", help="Number of configurations")],
    out: jobs.Out,
    seed: Seed = None,
    ref: Ref = None,
    include: Annotated[
        list[Include] | None, typer.Option(metavar="NAME", help="Also log_prob or energy; repeatable")
    ] = None,
    condition: Conditions = None,
) -> None:
    """Draw many configurations into a file, by a job; Ctrl-C stops watching, not the job.

    helmholtz draw ising-8 -n 10000000 -o samples.npz
    """
    with session(context) as s:
        check_file_name(out)
        values, extras = assignments(condition or (), "--condition"), [str(name) for name in include or ()]
        correction = context.meta.get(_CORRECTION, Correction.NONE)
        job = jobs.watched(s, s.client.draw(model, n, seed, ref, extras, values, str(correction)))
        jobs.fetch(s, job, out)


def log_likelihood(
    context: typer.Context,
    model: ModelName,
    samples: Annotated[Path, typer.Argument(help="npy file (or npz with 'samples') of shape (n, *event_shape)")],
    ref: Ref = None,
    condition: Conditions = None,
) -> None:
    """The natural logarithm of q(x) of each configuration in a file."""
    with session(context) as s:
        result = s.client.log_likelihood(model, read_samples(samples), ref, assignments(condition or (), "--condition"))
        values = result.log_likelihood
        human = display.facts(
            {
                "model": f"{result.model} version {result.version}",
                "kind": result.kind,
                "configurations": len(values),
                "mean log q": float(values.mean()),
                "lowest": float(values.min()),
                "highest": float(values.max()),
            }
        )
        s.answer(result.model_dump(mode="json"), human)


def free_energy(
    context: typer.Context,
    model: ModelName,
    method: Annotated[str, typer.Option(help="auto, variational or importance")] = "auto",
    n: Annotated[int | None, typer.Option("-n", help="Number of samples")] = None,
    target_standard_error: Annotated[
        str | None, typer.Option(metavar="ERROR[:SECONDS]", help="Sample until the error is this, for so long at most")
    ] = None,
    seed: Seed = None,
    ref: Ref = None,
    condition: Conditions = None,
) -> None:
    """The free energy beta_f = -ln Z of a model's target, with its error and, where known, the exact value."""
    with session(context) as s:
        values = assignments(condition or (), "--condition")
        wishes = _accuracy(target_standard_error) | {"condition": values or None}
        result = s.client.free_energy(model, method, n, seed, ref, **wishes)
        s.answer(result.model_dump(mode="json"), display.free_energy_facts(result))


def _accuracy(asked: str | None) -> dict[str, Any]:
    """What ERROR or ERROR:SECONDS asks for, as fields of the request."""
    if asked is None:
        return {}
    names = ("target_standard_error", "max_seconds")
    try:
        numbers = [float(part) for part in asked.split(":")]
        return dict(zip(names[: len(numbers)], numbers, strict=True))
    except ValueError:
        msg = f"--target-standard-error is {asked!r}; ERROR or ERROR:SECONDS was expected, such as 0.01 or 0.01:60"
        raise typer.BadParameter(msg) from None


def curve(
    context: typer.Context,
    model: ModelName,
    beta: Annotated[
        str | None, typer.Option(help="LOW:HIGH:COUNT or a list; without it the stored estimates are shown")
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="Number of samples at each beta")] = None,
    seed: Seed = None,
    ref: Ref = None,
    condition: Conditions = None,
) -> None:
    """beta_f, energy and heat capacity along beta, of a model conditioned on beta."""
    with session(context) as s:
        if beta is None:
            version = None if ref is None else s.client.version(model, ref).version
            stored = s.client.stored_curve(model, version)
            s.answer(stored.model_dump(mode="json"), display.stored_curve_table(stored))
            return
        values = assignments(condition or (), "--condition")
        result = s.client.free_energy_curve(model, grid(beta, "--beta"), n, seed, ref, values)
        s.answer(result.model_dump(mode="json"), display.curve_report(result))
