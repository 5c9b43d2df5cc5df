"""The servers that ours is measured beside, in the releases that were measured."""

OF_THE_MODULE = ("torch==2.13.0", "numpy", "scipy", "pydantic>=2", "jaxtyping", "arviz-stats", "safetensors")
"""What the served module itself needs."""
RELEASES = {
    "FastAPI": ("fastapi==0.165.0", "uvicorn==0.54.0", "uvloop", "httptools"),
    "LitServe": ("litserve==0.2.19", "uvloop", "httptools", "pyzmq"),
    "BentoML": ("bentoml==1.4.39",),
    "MLServer": ("mlserver==1.7.1",),
}
