"""The metrics of a version whose target forbids configurations: no bound where the model draws some of those."""

import numpy as np
import pytest

from workers.kinds.evaluation import estimates

ALLOWED = np.full(4000, -1.5)
FORBIDDEN = np.full(6000, -np.inf)


def test_where_some_are_forbidden_there_is_an_estimate_and_no_bound() -> None:
    metrics = estimates(np.concatenate([ALLOWED, FORBIDDEN]))
    assert "variational_beta_f" not in metrics
    assert "standard_error" not in metrics
    assert metrics["importance_beta_f"] == pytest.approx(1.5 - np.log(0.4))
    assert metrics["effective_sample_fraction"] == pytest.approx(0.4)


def test_where_all_are_forbidden_there_is_neither() -> None:
    assert estimates(FORBIDDEN) == {"effective_sample_fraction": 0.0, "num_samples": 6000}


def test_where_none_is_forbidden_there_are_both() -> None:
    metrics = estimates(ALLOWED)
    assert metrics["variational_beta_f"] == pytest.approx(1.5)
    assert metrics["importance_beta_f"] == pytest.approx(1.5)
