"""Roles, tenants and expiry of API keys, tenants of templates and deliveries, and versions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

moment = sa.DateTime(timezone=True)
AUTHOR = "'relay:relay:migration', 'Migration', 'relay'"

UNIQUE_NAMES = """
    UPDATE api_keys SET name = name || '-' || id WHERE revoked_at IS NULL AND EXISTS (
      SELECT FROM api_keys other WHERE other.name = api_keys.name AND other.id < api_keys.id
        AND other.revoked_at IS NULL
    )
"""

# Without the secret fields of channels, which only the relay can read.
FIRST_VERSIONS = f"""
    INSERT INTO versions (
      kind, object_id, number, action, tenant_id, at, author, author_name, method, body, changes
    )
    SELECT kind, id, 1, 'created', tenant_id, updated_at, {AUTHOR}, body, '{{}}' FROM (
      SELECT 'channel' AS kind, id, tenant_id, updated_at,
        config || jsonb_build_object('channel_type', channel_type) AS body FROM channels
      UNION ALL SELECT 'channel_template', id, NULL, updated_at, body FROM channel_templates
      UNION ALL SELECT 'key', id, tenants[1], created_at,
        jsonb_build_object('name', name, 'role', role, 'tenants', to_jsonb(tenants)) FROM api_keys
        WHERE revoked_at IS NULL
    ) AS stored
"""
TEMPLATE_VERSIONS = f"""
    INSERT INTO versions (
      kind, object_id, number, action, at, author, author_name, method, body, changes
    )
    SELECT 'message_template', template_id, version, CASE version WHEN 1 THEN 'created' ELSE 'updated' END,
      created_at, {AUTHOR}, body, '{{}}'
    FROM message_template_versions ORDER BY created_at, template_id, version
"""
EARLIER_TEMPLATE_VERSIONS = """
    INSERT INTO message_template_versions (template_id, version, body, created_at)
    SELECT object_id, number, body - 'tenant_id', at FROM versions
    WHERE kind = 'message_template' AND body IS NOT NULL AND object_id IN (SELECT id FROM message_templates)
"""

REFUSE = """
    CREATE FUNCTION versions_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'versions are append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
    END $$
"""

DELIVERY_TENANTS = """
    UPDATE deliveries d SET tenant_id = c.tenant_id FROM channels c
    WHERE c.id = d.channel_id AND c.tenant_id IS NOT NULL
"""


def upgrade() -> None:
    keys()
    tenants()
    versions()


def keys() -> None:
    op.add_column("api_keys", sa.Column("tenants", postgresql.ARRAY(sa.Text), comment="NULL for all tenants."))
    op.execute("UPDATE api_keys SET tenants = ARRAY[tenant_id] WHERE tenant_id IS NOT NULL")
    op.drop_column("api_keys", "tenant_id")
    op.add_column("api_keys", sa.Column("source", sa.Text, comment="The source of all its webhooks."))
    op.add_column("api_keys", sa.Column("expires_at", moment))
    op.add_column("api_keys", sa.Column("last_used_at", moment, comment="Updated once a minute."))
    op.add_column("api_keys", sa.Column("created_by", sa.Text, comment="The identity of who created it."))
    op.add_column(
        "api_keys", sa.Column("previous_hash", sa.LargeBinary, comment="The key before the last rotation.")
    )
    op.add_column("api_keys", sa.Column("previous_until", moment, comment="Until when that is valid."))
    op.execute(UNIQUE_NAMES)
    live = sa.text("revoked_at IS NULL")
    op.create_index("api_keys_name", "api_keys", ["name"], unique=True, postgresql_where=live)
    op.create_index("api_keys_previous_hash", "api_keys", ["previous_hash"], unique=True)


def tenants() -> None:
    op.add_column(
        "channels",
        sa.Column("tenant_id", sa.Text, sa.Computed("config ->> 'tenant_id'", persisted=True)),
    )
    op.create_index("channels_tenant", "channels", ["tenant_id", "id"])
    for table in ("channel_templates", "message_templates"):
        op.add_column(table, sa.Column("tenant_id", sa.Text, comment="NULL for one of no tenant."))
    op.add_column("deliveries", sa.Column("tenant_id", sa.Text, comment="The tenant of its channel."))
    op.execute(DELIVERY_TENANTS)
    op.create_index(
        "deliveries_tenant", "deliveries", ["tenant_id", "id"], postgresql_where=sa.text("tenant_id IS NOT NULL")
    )


def versions() -> None:
    op.create_table(
        "versions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text, comment="The tenant of the object."),
        sa.Column("at", moment, nullable=False, server_default=sa.text("now()")),
        sa.Column("author", sa.Text, nullable=False, comment="The identity of who made the change."),
        sa.Column("author_name", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False, comment="How the author authenticated."),
        sa.Column("address", sa.Text, comment="The client's address."),
        sa.Column("request_id", sa.Text),
        sa.Column("body", postgresql.JSONB, comment="The object after it, without secrets; NULL when deleted."),
        sa.Column("changes", postgresql.JSONB, nullable=False, comment="Before and after, for each field."),
        sa.Column("config_version", sa.BigInteger, comment="The version of the configuration that it made."),
        sa.UniqueConstraint("kind", "object_id", "number", name="versions_number"),
        comment="All changes of the configuration, without secrets. Rows are never changed or deleted.",
    )
    op.create_index("versions_tenant", "versions", ["tenant_id", "id"])
    op.create_index(
        "versions_config", "versions", ["config_version"], postgresql_where=sa.text("config_version IS NOT NULL")
    )
    op.execute(FIRST_VERSIONS)
    op.execute(TEMPLATE_VERSIONS)
    op.drop_table("message_template_versions")
    op.execute(REFUSE)
    op.execute(
        "CREATE TRIGGER versions_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON versions "
        "FOR EACH STATEMENT EXECUTE FUNCTION versions_are_kept()"
    )


def downgrade() -> None:
    """Versions other than those of message templates are lost, and keys of less than an administrator."""
    op.create_table(
        "message_template_versions",
        sa.Column(
            "template_id", sa.Text, sa.ForeignKey("message_templates.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", postgresql.JSONB, nullable=False, comment="All fields but the id."),
        sa.Column("created_at", moment, nullable=False, server_default=sa.text("now()")),
        comment="All versions of each message template.",
    )
    op.execute(EARLIER_TEMPLATE_VERSIONS)
    op.drop_table("versions")
    op.execute("DROP FUNCTION versions_are_kept()")
    op.drop_index("deliveries_tenant", "deliveries")
    op.drop_column("deliveries", "tenant_id")
    for table in ("channel_templates", "message_templates"):
        op.drop_column(table, "tenant_id")
    op.drop_index("channels_tenant", "channels")
    op.drop_column("channels", "tenant_id")
    # The earlier release accepts every key without a tenant for everything.
    op.execute(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) "
        "WHERE role <> 'admin' OR tenants IS NOT NULL OR expires_at IS NOT NULL"
    )
    op.add_column("api_keys", sa.Column("tenant_id", sa.Text))
    op.execute("UPDATE api_keys SET tenant_id = tenants[1]")
    op.drop_index("api_keys_previous_hash", "api_keys")
    op.drop_index("api_keys_name", "api_keys")
    for column in (
        "previous_until",
        "previous_hash",
        "created_by",
        "last_used_at",
        "expires_at",
        "source",
        "tenants",
    ):
        op.drop_column("api_keys", column)
