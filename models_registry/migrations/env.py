"""How Alembic runs the migrations: on the connection, and in the transaction, of ``models_registry.migrate``."""

from alembic import context

from models_registry.database import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
