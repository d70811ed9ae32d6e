"""An e-mail address for signing in, and a role in place of the flag `administrator`."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.add_column("users", sa.Column("email", sa.String(254)))
    op.create_index("users_email", "users", ["email"], unique=True)
    op.add_column("users", sa.Column("role", sa.String(16), nullable=False, server_default="operator"))
    op.execute("UPDATE users SET role = 'administrator' WHERE administrator")
    op.drop_column("users", "administrator")
