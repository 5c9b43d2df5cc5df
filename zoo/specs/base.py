"""What every spec is: frozen, closed and finite configuration data."""

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """Frozen data that a user wrote: unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
