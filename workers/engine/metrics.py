"""The metrics of an engine, which gateways show beside their own: an engine listens on no port."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from workers.engine.models import WarmModels

ENGINE_METRICS = CollectorRegistry()
ProcessCollector(registry=ENGINE_METRICS, namespace="helmholtz_engine")
TILES = Counter("helmholtz_engine_tiles", "Tiles computed", ("operation", "rows"), registry=ENGINE_METRICS)
REQUESTS_PER_TILE = Histogram(
    "helmholtz_engine_requests_per_tile",
    "Requests that shared a tile",
    buckets=(1, 2, 4, 8, 16, 32),
    registry=ENGINE_METRICS,
)
ROWS_USED = Counter("helmholtz_engine_rows", "Rows of tiles that requests asked for", registry=ENGINE_METRICS)
ROWS_PADDED = Counter("helmholtz_engine_padding_rows", "Rows computed and thrown away", registry=ENGINE_METRICS)
STEP_SECONDS = Histogram(
    "helmholtz_engine_step_seconds", "Computing time of a step", ("operation",), registry=ENGINE_METRICS
)
ENDED = Counter("helmholtz_engine_requests", "Requests by how they ended", ("outcome",), registry=ENGINE_METRICS)
ACTIVE = Gauge("helmholtz_engine_active_requests", "Requests in hand", registry=ENGINE_METRICS)
WARM = Gauge("helmholtz_engine_warm_models", "Models in memory", registry=ENGINE_METRICS)
WARM_BYTES = Gauge("helmholtz_engine_warm_model_bytes", "Their bytes", registry=ENGINE_METRICS)
LOADED = Gauge("helmholtz_engine_model_loads", "Models loaded since the start", registry=ENGINE_METRICS)
EVICTED = Gauge("helmholtz_engine_model_evictions", "Models dropped since the start", registry=ENGINE_METRICS)


def metrics_text(models: WarmModels) -> bytes:
    """All metrics in Prometheus's text format."""
    WARM.set(len(models))
    WARM_BYTES.set(models.num_bytes)
    LOADED.set(models.num_loaded)
    EVICTED.set(models.num_evicted)
    return generate_latest(ENGINE_METRICS)
