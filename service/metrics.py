"""The registry of a gateway's Prometheus metrics; each metric is defined where it is counted."""

from prometheus_client import CollectorRegistry, ProcessCollector

METRICS = CollectorRegistry()
ProcessCollector(registry=METRICS)
