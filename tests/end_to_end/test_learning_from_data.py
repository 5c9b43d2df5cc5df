"""Models learnt from data: builtins, uploads, beside a target; classes; completions; and data that cannot be learnt."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helmholtz import Client, ConflictError, Dataset, Event, InvalidValueError, Job, JobFailedError, NotFoundError
from tests.running_stack import RunningStack

Array = NDArray[Any]
DIGITS = {"builtin": "digits"}
MADE = {"family": "made", "width": 128}
TRAINING = {"batch_size": 128, "max_steps": 400, "seed": 1}
UPPER = np.arange(64).reshape(8, 8) < 32


def independent_pixels(pictures: Array) -> float:
    """-<ln q> in nats of the best q that is a product over pixels: the sum of their entropies."""
    p = pictures.reshape(len(pictures), -1).mean(0)
    p = p[(p > 0) & (p < 1)]
    return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).sum())


def trained(client: Client, data: Any, model: dict[str, Any], name: str, **options: Any) -> Job:  # noqa: ANN401
    job = client.train(options.pop("target", None), model, data=data, publish=name, **{"training": TRAINING} | options)
    return client.wait(job, timeout=120)


def bars(n: int) -> Array:
    """Stripes of equal spins, rows or columns."""
    rng = np.random.default_rng(2)
    stripes = rng.choice(np.array([-1, 1], dtype=np.int8), size=(n, 1, 4)) * np.ones((n, 4, 1), dtype=np.int8)
    return np.where(rng.random((n, 1, 1)) < 0.5, stripes, stripes.transpose(0, 2, 1)).astype(np.int8)


def test_digits_are_learnt_completed_and_never_given_a_free_energy(stack: RunningStack) -> None:
    with stack.client() as client:
        followed: list[Event] = []
        submitted = client.train(None, MADE, training=TRAINING, data=DIGITS, publish="pictures")
        client.wait(submitted, followed.append, timeout=120)
        pictures = client.dataset_samples(client.builtin_dataset("digits").id).samples
        version = client.version("pictures", "latest")
        assert version.target is None
        assert version.metrics["num_held_out"] == round(0.1 * 1797)
        nll, error = version.metrics["held_out_nll"], version.metrics["held_out_standard_error"]
        assert nll + 4 * error < independent_pixels(pictures)
        assert any("held_out_nll" in event.data for event in followed)
        assert "variational_beta_f" not in version.metrics
        samples = client.sample("pictures", 100, seed=1).samples
        assert set(np.unique(samples)) == {0, 1}
        with pytest.raises(ConflictError, match="learnt from data alone"):
            client.free_energy("pictures")
        completed_halves(client, pictures[:3])


def completed_halves(client: Client, pictures: Array) -> None:
    """The lower half given the upper one is exact; the other way round it is estimated, and says on what."""
    lower = client.complete("pictures", pictures, UPPER, n=20, seed=3)
    assert lower.exact
    assert lower.reliable
    assert lower.samples.shape == (3, 20, 8, 8)
    assert (lower.samples[:, :, :4] == pictures[:, None, :4]).all()
    again = client.complete("pictures", pictures, UPPER, n=20, seed=3)
    assert (lower.samples == again.samples).all()
    exact = client.marginal_log_likelihood("pictures", pictures, UPPER)
    assert exact.kind == "exact"
    assert np.allclose(exact.log_likelihood, lower.log_marginal, atol=1e-5)
    whole = client.log_likelihood("pictures", pictures).log_likelihood
    assert (exact.log_likelihood > whole).all()
    upper = client.complete("pictures", pictures, ~UPPER, n=2, seed=3, proposals=500)
    assert not upper.exact
    assert len(upper.diagnostics["effective_sample_size"]) == 3
    assert upper.reliable == (not upper.diagnostics["warnings"])
    assert client.marginal_log_likelihood("pictures", pictures, ~UPPER, seed=3).kind == "estimate"


def test_class_conditional_digits_tell_the_classes_apart(stack: RunningStack) -> None:
    model = MADE | {"condition_on": {"label": 10}}
    with stack.client() as client:
        trained(client, DIGITS, model, "classes", training=TRAINING | {"max_steps": 600})
        metrics = client.version("classes", "latest").metrics
        assert metrics["held_out_accuracy"] > 0.6
        assert sum(metrics["label_counts"]) == 1797 - metrics["num_held_out"]
        assert metrics["held_out_marginal_nll"] > metrics["held_out_nll"]
        data = client.dataset_samples(client.builtin_dataset("digits").id)
        pictures, labels = data.samples[:400], np.asarray(data.labels)[:400]
        found = client.classify("classes", pictures)
        assert np.allclose(found.label_posterior.sum(1), 1, atol=1e-12)
        assert (found.label_posterior.argmax(1) == labels).mean() > 0.6
        joint = [
            client.log_likelihood("classes", pictures[:5], condition={"label": y}).log_likelihood
            + np.log(metrics["label_counts"][y] / sum(metrics["label_counts"]))
            for y in range(10)
        ]
        assert np.allclose(np.logaddexp.reduce(joint), found.log_likelihood[:5], atol=1e-4)
        drawn = client.sample("classes", 200, seed=1, condition={"label": 3}).samples
        assert (client.classify("classes", drawn).label_posterior.argmax(1) == 3).mean() > 0.6
        with pytest.raises(InvalidValueError, match="label"):
            client.sample("classes", 10)


def test_uploads_are_learnt_alone_and_beside_their_target(stack: RunningStack) -> None:
    training = TRAINING | {"max_steps": 100}
    with stack.client() as client:
        uploaded = client.upload_dataset(bars(500), "spins", "bars")
        trained(client, uploaded, {"family": "made"}, "bars", training=training)
        alone = client.version("bars", "latest")
        assert alone.dataset == uploaded.id
        assert alone.metrics["held_out_nll"] < 0.6 * 16 * np.log(2)
        target = {"kind": "ising", "shape": [4, 4], "beta": 0.3}
        trained(client, uploaded, {"family": "made"}, "mixed", training=TRAINING | {"max_steps": 20}, target=target)
        both = client.version("mixed", "latest")
        assert (both.objective or {})["kind"] == "mixed"
        assert {"held_out_nll", "variational_beta_f"} <= set(both.metrics)
        fine_tuned(client, uploaded)
        client.delete_dataset(uploaded.id)
        assert client.version("bars", "latest").dataset == uploaded.id
        with pytest.raises(NotFoundError, match=uploaded.id):
            client.train(None, {"family": "made"}, data=uploaded)


def fine_tuned(client: Client, data: Dataset) -> None:
    """A few small steps from a version's weights leave a version that is about as good, and names its parent."""
    begin = {"model": "bars", "version": 1}
    job = {
        "data": {"dataset": data.id},
        "model": {"family": "made"},
        "init_from": begin,
        "training": {"max_steps": 3, "learning_rate": 1e-5},
        "publish": {"model": "bars"},
    }
    client.wait(client.submit(job), timeout=60)
    first, second = client.version("bars", 1), client.version("bars", 2)
    assert (first.parent, second.parent) == (None, begin)
    assert second.metrics["held_out_nll"] == pytest.approx(first.metrics["held_out_nll"], rel=1e-3)
    with pytest.raises(InvalidValueError, match="width = 8"):
        client.submit(job | {"model": {"family": "made", "width": 8}})


def test_data_that_does_not_fit_is_refused_before_anything_is_queued(stack: RunningStack) -> None:
    with stack.client() as client:
        spins = client.upload_dataset(bars(20), "spins")
        before = {job.id for job in client.jobs()}
        target = {"kind": "ising", "shape": [8, 8]}
        with pytest.raises(InvalidValueError, match=r"data is spins of shape \[4, 4\] and the target spins of shape"):
            client.train(target, {"family": "made"}, data=spins)
        with pytest.raises(InvalidValueError, match="the data has no labels"):
            client.train(None, {"family": "made", "condition_on": {"label": 2}}, data=spins)
        with pytest.raises(InvalidValueError, match=r"data\.dataset"):
            client.sweep(
                {"model": {"family": "made"}, "target": target, "data": {"dataset": spins.id}},
                {"training.seed": [1, 2]},
            )
        with pytest.raises(NotFoundError, match="no dataset"):
            client.train(None, {"family": "made"}, data={"dataset": "0" * 32})
        assert {job.id for job in client.jobs()} == before


def test_what_only_the_numbers_tell_fails_the_job_before_it_trains(stack: RunningStack) -> None:
    with stack.client() as client:
        constant = client.upload_dataset(np.ones((30, 4, 4), dtype=np.int8), "spins")
        job = client.train(None, {"family": "made"}, training={"max_steps": 1_000_000}, data=constant)
        with pytest.raises(JobFailedError, match="all 30 configurations are equal"):
            client.wait(job, timeout=60)
        assert not client.metrics(job)


def test_bitstrings_of_a_random_circuit_are_learnt(stack: RunningStack) -> None:
    data: dict[str, Any] = {"builtin": "bitstrings", "qubits": 6, "depth": 4, "n": 5000}
    with stack.client() as client:
        trained(client, data, {"family": "made"}, "circuit", training=TRAINING | {"max_steps": 300})
        strings = client.dataset_samples(client.builtin_dataset(**data).id).samples
        metrics = client.version("circuit", "latest").metrics
        assert metrics["held_out_nll"] < 6 * np.log(2) - 4 * metrics["held_out_standard_error"]
        assert metrics["held_out_nll"] < independent_pixels(strings)
