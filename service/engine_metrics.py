"""Metrics of the engines, as they last wrote them, each with the name of its engine."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector


def exposition(texts: Mapping[str, str]) -> bytes:
    """The metrics of all engines in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Told(families(texts)))
    return generate_latest(registry)


class _Told(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def families(texts: Mapping[str, str]) -> list[Metric]:
    """The metrics in the texts of engines by their names, each sample labelled ``engine``."""
    found: dict[str, Metric] = {}
    for engine, text in texts.items():
        for family in text_string_to_metric_families(text):
            merged = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            merged.samples += [sample._replace(labels=sample.labels | {"engine": engine}) for sample in family.samples]
    return list(found.values())
