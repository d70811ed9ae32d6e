"""Alembic runs this for every migration: on the connection, and in the transaction, that databases.migrated() has opened."""

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
with context.begin_transaction():
    context.run_migrations()
