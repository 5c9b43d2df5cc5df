"""Write the OpenAPI document to a file: ``python -m service.rest.export_openapi docs/openapi.json``."""

import sys
import tempfile
from pathlib import Path

import orjson

from service.context import build_context
from service.rest.app import build_app
from workers.settings import Settings


def export_openapi(path: Path) -> None:
    """Write the document of an application that is connected to nothing."""
    with tempfile.TemporaryDirectory() as folder:
        context = build_context(Settings(data_dir=Path(folder), redis_url="unix:///nowhere"))
        document = build_app(context).openapi()
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


if __name__ == "__main__":
    export_openapi(Path(sys.argv[1]))
