"""Versions know their space, which those learnt from data alone have from no target; estimates hold more numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the space of a version, and the condition and the observables of an estimate."""
    op.add_column("versions", sa.Column("space", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("estimates", sa.Column("condition", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("estimates", sa.Column("observables", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("estimates", "observables")
    op.drop_column("estimates", "condition")
    op.drop_column("versions", "space")
