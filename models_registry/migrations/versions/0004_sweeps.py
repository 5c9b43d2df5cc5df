"""Sweeps: a child knows its place among its parent's children, and the values that set it apart."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns of children; their parent has a column since the first revision, and an index now."""
    op.add_column("jobs", sa.Column("parent_position", sa.Integer()))
    op.add_column("jobs", sa.Column("parent_values", sa.JSON()))
    op.create_index("ix_jobs_parent_parent_position", "jobs", ["parent", "parent_position"])


def downgrade() -> None:
    """Drop them; children stay as jobs of their own."""
    op.drop_index("ix_jobs_parent_parent_position", "jobs")
    op.drop_column("jobs", "parent_values")
    op.drop_column("jobs", "parent_position")
