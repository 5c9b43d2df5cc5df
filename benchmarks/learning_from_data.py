"""Maximum likelihood: handwritten digits by every family, classes from densities, and measurements of a circuit.

    python -m benchmarks.learning_from_data [--seeds 1 2 3] [--only digits classes bitstrings] [--output docs/results]

Digits are 8 x 8 bits, 1437 to learn from (a tenth of them held out to choose when to stop) and 360 for the test, whose
negative log-likelihood is reported; the baseline is a mixture of independent pixels fitted by expectation-maximisation,
its number of components chosen on the same held-out digits.  Prints the tables and writes ``learning_from_data.md``.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor

from benchmarks.bernoulli_mixture import fitted_mixture, mixture_log_prob
from benchmarks.settings import machine
from zoo.catalog import build, build_dataset, build_objective
from zoo.core.models import ConditionalModel, Model
from zoo.core.spaces import Bits
from zoo.exact.random_circuit import string_probabilities
from zoo.specs.datasets import BitstringsDataSpec, DigitsSpec, LabelledSamples
from zoo.specs.models.autoregressive import AutoregressiveSpec
from zoo.specs.models.conditions import ConditionOn
from zoo.specs.models.made import MadeSpec
from zoo.specs.models.mean_field import MeanFieldSpec
from zoo.specs.models.pixelcnn import PixelCnnSpec
from zoo.specs.models.rnn import RnnSpec
from zoo.specs.models.transformer import TransformerSpec
from zoo.specs.objectives import MaximumLikelihoodSpec
from zoo.specs.spaces import SpaceSpec
from zoo.specs.training import StopWhen, TrainingSpec
from zoo.training.problem import Problem, Trainable, TrainingData
from zoo.training.trainer import Trainer, flush_denormals, take_best_weights, train

CLASSES = 10
COMPONENTS = (5, 10, 20, 40, 80)
DIGIT_TRAINING = TrainingSpec(
    batch_size=128, max_steps=3000, learning_rate=2e-3, evaluate_every=25, stop_when=StopWhen(plateau_steps=500)
)
FIELD_RATE = 0.05  # fields of pixels that are nearly always black are large
DIGIT_MODELS: dict[str, AutoregressiveSpec] = {
    "made": MadeSpec(width=256),
    "pixelcnn": PixelCnnSpec(width=24, depth=3),
    "rnn": RnnSpec(width=64),
    "transformer": TransformerSpec(width=32, heads=8),
    "mean_field": MeanFieldSpec(solution="trained"),
}
CIRCUIT = BitstringsDataSpec(qubits=12, depth=24, circuit_seed=1, n=500_000, seed=2)
CIRCUIT_TRAINING = TrainingSpec(
    batch_size=500, max_steps=3500, learning_rate=4e-3, held_out_fraction=0.02, evaluate_every=250
)
CIRCUIT_MODEL = TransformerSpec(width=64, depth=3, heads=4)
NLL_BAR, CROSS_ENTROPY_BAR = 0.05, 0.9


@dataclass(frozen=True)
class Learnt:
    """A model with the weights that held-out data found best."""

    model: Trainable
    steps: int
    seconds: float


def main() -> None:
    """Learn, print and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--only", nargs="+", default=["digits", "classes", "bitstrings"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    flush_denormals()
    parts = ["# Learning from data", "", "Regenerate with `make bench NAME=learning_from_data`.", ""]
    missed: list[str] = []
    if "digits" in arguments.only:
        parts += [*digits(arguments.seeds), ""]
    if "classes" in arguments.only:
        parts += [*classes(arguments.seeds), ""]
    if "bitstrings" in arguments.only:
        parts += [*bitstrings(arguments.seeds, missed), ""]
    parts.append(machine() + ".")
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "learning_from_data.md").write_text("\n".join(parts) + "\n")
    print("\n".join(parts))
    if missed:
        sys.exit("bars missed:\n" + "\n".join(missed))


def digits(seeds: Sequence[int]) -> list[str]:
    """Test likelihood of every family, beside the mixture's."""
    lines = [
        "## Binarised digits, 8 x 8",
        "",
        "| model | seed | test NLL, nats | +- | steps | seconds |",
        "|---|---|---|---|---|---|",
    ]
    test = torch.from_numpy(build_dataset(DigitsSpec(split="test")).samples)
    for seed in seeds:
        data = _digit_data(seed)
        for name, spec in DIGIT_MODELS.items():
            rate = FIELD_RATE if name == "mean_field" else DIGIT_TRAINING.learning_rate
            run = learnt(spec, data, DIGIT_TRAINING.model_copy(update={"seed": seed, "learning_rate": rate}))
            with torch.no_grad():
                nll = -_unconditional(run.model).log_prob(test)
            lines.append(_nll_line(name, seed, nll.numpy(), run.steps, run.seconds))
            print(lines[-1], flush=True)
        started = time.monotonic()
        mixture = fitted_mixture(data.samples.numpy(), data.held_out.numpy(), COMPONENTS, seed)
        baseline = -mixture_log_prob(mixture, test.numpy())
        name = f"mixture of {len(mixture.weights)} products"
        lines.append(_nll_line(name, seed, baseline, mixture.steps, time.monotonic() - started))
        print(lines[-1], flush=True)
    return lines


def classes(seeds: Sequence[int]) -> list[str]:
    """Densities of each digit, and what they say of a picture's class."""
    lines = [
        "## Digits by class: p(x|y), and p(y|x) from it",
        "",
        "| model | seed | test NLL of the class's density, nats | +- | test accuracy of the class | seconds |",
        "|---|---|---|---|---|---|",
    ]
    test = build_dataset(DigitsSpec(split="test"))
    x, y = torch.from_numpy(test.samples), _labels(test)
    label = ConditionOn(label=CLASSES)
    models = {
        "made": MadeSpec(width=256, condition_on=label),
        "pixelcnn": PixelCnnSpec(width=24, depth=3, condition_on=label),
    }
    for seed in seeds:
        data = _digit_data(seed, labelled=True)
        log_prior = _log_frequencies(data.labels)
        for name, spec in models.items():
            run = learnt(spec, data, DIGIT_TRAINING.model_copy(update={"seed": seed}))
            if not isinstance(run.model, ConditionalModel):
                msg = "a conditional model was expected"
                raise TypeError(msg)
            with torch.no_grad():
                joint = torch.stack([run.model.at(torch.tensor([[float(k)]])).log_prob(x) for k in range(CLASSES)], 1)
            nll = -joint.gather(1, y[:, None]).squeeze(1)
            accuracy = float(((joint + log_prior).argmax(1) == y).double().mean())
            error = float(nll.std()) / len(nll) ** 0.5
            lines.append(
                f"| {name} | {seed} | {float(nll.mean()):.3f} | {error:.3f} | {accuracy:.3f} | {run.seconds:.0f} |"
            )
            print(lines[-1], flush=True)
    return lines


def bitstrings(seeds: Sequence[int], missed: list[str]) -> list[str]:
    """A transformer on the measured bits of a random circuit."""
    p = string_probabilities(CIRCUIT.qubits, CIRCUIT.depth, CIRCUIT.circuit_seed)
    entropy = -float(np.sum(p * np.log(p)))
    ideal = 2**CIRCUIT.qubits * float(np.sum(p**2)) - 1
    lines = [
        f"## Measurements of a random circuit: {CIRCUIT.qubits} qubits, depth {CIRCUIT.depth}, {CIRCUIT.n:,} strings",
        "",
        f"Entropy {entropy:.5f} nats; linear cross-entropy of exact sampling {ideal:.5f}.  Both columns are exact sums "
        f"over all {2**CIRCUIT.qubits} strings.",
        "",
        "| model | seed | NLL - entropy (bar 0.05) | linear cross-entropy over exact sampling's (bar 0.9) | seconds |",
        "|---|---|---|---|---|",
    ]
    for seed in seeds:
        data = build_dataset(CIRCUIT)
        samples = torch.from_numpy(data.samples)
        held = int(len(samples) * CIRCUIT_TRAINING.held_out_fraction)
        training = CIRCUIT_TRAINING.model_copy(update={"seed": seed})
        run = learnt(CIRCUIT_MODEL, TrainingData(samples[held:], samples[:held]), training)
        with torch.no_grad():
            log_q = _unconditional(run.model).log_prob(Bits(CIRCUIT.space).enumerate()).numpy()
        excess = -float(np.sum(p * log_q)) - entropy
        fidelity = (2**CIRCUIT.qubits * float(np.sum(np.exp(log_q) * p)) - 1) / ideal
        lines.append(f"| transformer | {seed} | {excess:.4f} | {fidelity:.3f} | {run.seconds:.0f} |")
        print(lines[-1], flush=True)
        if excess > NLL_BAR or fidelity < CROSS_ENTROPY_BAR:
            missed.append(lines[-1])
    return lines


def learnt(spec: AutoregressiveSpec, data: TrainingData, training: TrainingSpec) -> Learnt:
    """The model after its training, with its best weights."""
    problem = Problem(data=data, condition_on=spec.condition_on)
    trainer = Trainer(build_objective(MaximumLikelihoodSpec()), problem, training)
    shape = tuple(data.samples.shape[1:])
    model = build(spec, Bits(SpaceSpec(kind="bits", event_shape=shape)), training.seed)
    started = time.monotonic()
    *_, (final, _) = train(trainer, trainer.init(model))
    take_best_weights(final)
    return Learnt(model, final.step, time.monotonic() - started)


def _digit_data(seed: int, *, labelled: bool = False) -> TrainingData:
    """The training pictures, a tenth of them held out."""
    data = build_dataset(DigitsSpec(split="train"))
    order = np.random.default_rng(seed).permutation(len(data.samples))
    held = len(order) // 10
    test, rest = torch.from_numpy(order[:held]), torch.from_numpy(order[held:])
    samples = torch.from_numpy(data.samples)
    if not labelled:
        return TrainingData(samples[rest], samples[test])
    labels = _labels(data)
    return TrainingData(samples[rest], samples[test], labels[rest], labels[test])


def _labels(data: LabelledSamples) -> Int64[Tensor, " sample"]:
    if data.labels is None:
        msg = "labels were expected"
        raise TypeError(msg)
    return torch.from_numpy(data.labels)


def _log_frequencies(labels: Int[Tensor, " sample"] | None) -> Float64[Tensor, " label"]:
    if labels is None:
        msg = "labels were expected"
        raise TypeError(msg)
    return torch.log(torch.bincount(labels, minlength=CLASSES).double() / len(labels))


def _nll_line(name: str, seed: int, nll: Float64[np.ndarray, " sample"], steps: int, seconds: float) -> str:
    error = nll.std(ddof=1) / len(nll) ** 0.5
    return f"| {name} | {seed} | {nll.mean():.3f} | {error:.3f} | {steps} | {seconds:.0f} |"


def _unconditional(model: Trainable) -> Model:
    if not isinstance(model, Model):
        msg = "an unconditional model was expected"
        raise TypeError(msg)
    return model


if __name__ == "__main__":
    main()
