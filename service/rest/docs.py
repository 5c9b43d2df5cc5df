"""The API to try by hand at /docs: Swagger UI from files of our own installation, so that it works without internet."""

from importlib.resources import as_file, files

from fastapi import Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from service.rest.routing import make_router
from zoo.specs.errors import NotFoundError

router = make_router("/docs", "docs")

_PACKAGE = "fastapi_swagger.resources"
_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


@router.get("", response_class=HTMLResponse, include_in_schema=False)
async def page() -> HTMLResponse:
    """The page; it loads the document and everything else from here."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Helmholtz API",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="/docs/favicon-32x32.png",
        swagger_ui_parameters={"filter": True, "displayRequestDuration": True, "defaultModelsExpandDepth": 0},
    )


@router.get("/{name:segment}", include_in_schema=False)
async def asset(name: str) -> Response:
    """One of the files that the page needs."""
    if name not in _MEDIA_TYPES:
        msg = f"{name!r} is no part of the page; its parts are {', '.join(_MEDIA_TYPES)}"
        raise NotFoundError(msg)
    with as_file(files(_PACKAGE) / name) as path:
        return Response(path.read_bytes(), media_type=_MEDIA_TYPES[name])
