"""Routes about the service itself: alive, ready, what it is, metrics, and a page of links."""

from typing import Any

from fastapi import Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.engine_metrics import exposition
from service.metrics import METRICS
from service.rest.dependencies import ContextOf
from service.rest.encoding import json_response
from service.rest.routing import make_router
from service.use_cases.describe_service import check_readiness, describe_service

router = make_router("", "status")

_LINKS = {
    "/docs": "the API, to try by hand",
    "/v1/info": "version, limits, engines",
    "/v1/zoo/models": "model families",
    "/v1/zoo/targets": "physical systems",
    "/v1/models": "trained models",
    "/v1/jobs": "jobs",
    "/v1/free-energies": "free-energy estimates",
    "/readyz": "readiness of each dependency",
    "/metrics": "Prometheus metrics",
}


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answers while the gateway is alive."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(context: ContextOf) -> Response:
    """200 when every dependency answers, else 503 that says which one does not."""
    checks = await check_readiness(context)
    ready = all(value == "ok" for value in checks.values())
    headers = {} if ready else {"Retry-After": "1"}
    return json_response({"ready": ready, "checks": checks}, 200 if ready else 503, headers)


@router.get("/v1/info")
async def info(context: ContextOf) -> dict[str, Any]:
    """Version, limits and the engines that are alive."""
    return await describe_service(context)


@router.get("/metrics", response_class=Response)
async def metrics(context: ContextOf) -> Response:
    """Prometheus metrics of this gateway and of the engines that are alive."""
    engines = exposition(await context.engine.engine_metrics())
    return Response(generate_latest(METRICS) + engines, media_type=CONTENT_TYPE_LATEST)


@router.get("/", response_class=HTMLResponse)
async def index() -> str:
    """A page of links."""
    items = "\n".join(f'<li><a href="{path}">{path}</a> - {text}</li>' for path, text in _LINKS.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Helmholtz</title>
<style>body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; color: #222 }}</style></head>
<body><h1>Helmholtz</h1>
<p>Generative models for statistical physics: samples, log-likelihoods and free energies with error bars.</p>
<ul>
{items}
</ul></body></html>
"""
