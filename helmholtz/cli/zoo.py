"""``helmholtz zoo``, ``info``, ``energy`` and ``reference``: what can be asked for, and what is known of a target."""

from pathlib import Path
from typing import Annotated, Any

import typer

from helmholtz.cli import display
from helmholtz.cli.inputs import check_output, document, override, read_samples, write_arrays
from helmholtz.cli.jobs import follow
from helmholtz.cli.session import session
from helmholtz.errors import InvalidArgumentError

app = typer.Typer(help="What can be trained, and on which physical systems.", no_args_is_help=True)

TargetOption = Annotated[str, typer.Option(help='Target spec: JSON or @FILE, {"kind": "ising", "shape": [8, 8], ...}')]


@app.command("models")
def models(context: typer.Context) -> None:
    """The model families and what each can do."""
    with session(context) as s:
        families = s.client.zoo_models()
        rows = (
            (
                f.family,
                f.capabilities.sampling,
                f.capabilities.log_likelihood,
                f.capabilities.trains_from,
                f.description,
            )
            for f in families
        )
        human = display.table(("family", "sampling", "likelihood", "trains from", "description"), rows)
        s.answer({"models": [f.model_dump(mode="json", by_alias=True) for f in families]}, human)


@app.command("targets")
def targets(context: typer.Context) -> None:
    """The physical systems and their energies."""
    with session(context) as s:
        kinds = s.client.zoo_targets()
        human = display.table(("kind", "formula", "units"), ((k.kind, k.formula, k.units) for k in kinds))
        s.answer({"targets": [k.model_dump(mode="json", by_alias=True) for k in kinds]}, human)


@app.command("show")
def show(context: typer.Context, name: Annotated[str, typer.Argument(help="A family or a kind of target")]) -> None:
    """One family or target with its parameters."""
    with session(context) as s:
        is_target = name in {kind.kind for kind in s.client.zoo_targets()}
        entry = s.client.zoo_target(name) if is_target else s.client.zoo_model(name)
        fields = entry.model_dump(mode="json", by_alias=True)
        parameters = {
            f"  {parameter}": rule.get("description") or rule.get("type") or rule.get("const")
            for parameter, rule in fields.get("schema", {}).get("properties", {}).items()
        }
        about = {k.replace("_", " "): v for k, v in fields.items() if k != "schema"}
        s.answer(fields, display.facts(about | {"parameters": " "} | parameters))


def info(context: typer.Context) -> None:
    """The service: version, limits, devices and threads."""
    with session(context) as s:
        fields = s.client.info().model_dump(mode="json")
        s.answer(fields, display.facts({"url": s.client.url} | {k.replace("_", " "): v for k, v in fields.items()}))


def energy(
    context: typer.Context,
    samples: Annotated[Path, typer.Argument(help="npy file (or npz with 'samples') of shape (n, *event_shape)")],
    target: TargetOption,
    force: Annotated[bool, typer.Option("--force", help="Also -grad E, of continuous targets")] = False,  # noqa: FBT002
    out: Annotated[Path | None, typer.Option(help="Write to a npz file, or energies alone to a npy file")] = None,
) -> None:
    """The energy of each configuration in a file, in the target's unit."""
    with session(context) as s:
        check_output(out, 2 if force else 1)
        values = s.client.energy(document(target, "--target", "kind"), read_samples(samples), force=force)
        if out is not None:
            write_arrays(out, {"energy": values.energy, "force": values.force})
        summary: dict[str, object] = {"configurations": len(values.energy), "mean": float(values.energy.mean())}
        summary |= {"lowest": float(values.energy.min()), "highest": float(values.energy.max())}
        if values.force is not None:
            summary["largest force"] = float(abs(values.force).max())
        written = None if out is None else str(out)
        s.answer(values.model_dump(mode="json"), display.facts(summary | {"written to": written}))


def reference(
    context: typer.Context,
    target: TargetOption,
    method: Annotated[str, typer.Option(help="exact, thermodynamic_integration, mbar or ais")] = "exact",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="PATH=VALUE, such as target.beta=0.44 or length.num_draws=500; repeatable"),
    ] = None,
) -> None:
    """beta_f = -ln Z of a target: exact where one is known, or by Markov chains along a path (a job, watched).

    helmholtz reference --target ising --set target.shape=8,8 --set target.beta=0.44
    helmholtz reference --target @coulomb.json --method mbar --set num_states=32
    """
    with session(context) as s:
        spec: dict[str, Any] = {"target": document(target, "--target", "kind")}
        for assignment in assignments or ():
            spec = override(spec, assignment)
        if method != "exact":
            follow(s, s.client.submit({"kind": "reference", "method": method} | spec))
            return
        if len(spec) > 1:
            others = ", ".join(sorted(spec.keys() - {"target"}))
            msg = f"--set changes only target.* when the method is exact; {others} came"
            raise InvalidArgumentError(msg)
        fields = s.client.reference(spec["target"]).model_dump(mode="json")
        s.answer(fields, display.facts(fields | {"beta_f": f"{fields['beta_f']:.12g}"}))
