"""Routes of the zoo: what can be asked for."""

from typing import Any

from service.rest.routing import make_router
from service.use_cases.describe_zoo import describe_families, describe_family, describe_target, describe_targets

router = make_router("/v1/zoo", "zoo")


@router.get("/models")
async def list_families() -> dict[str, Any]:
    """Every model family with its capabilities and the schema of its spec."""
    return {"models": describe_families(), "next_page_token": None}


@router.get("/models/{family:segment}")
async def get_family(family: str) -> dict[str, Any]:
    """One model family."""
    return describe_family(family)


@router.get("/targets")
async def list_targets() -> dict[str, Any]:
    """Every physical system with its formula, units, exact references and the schema of its spec."""
    return {"targets": describe_targets(), "next_page_token": None}


@router.get("/targets/{kind:segment}")
async def get_target(kind: str) -> dict[str, Any]:
    """One physical system."""
    return describe_target(kind)
