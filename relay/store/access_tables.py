"""The tables of API keys, silences, and the versions of all configuration."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from relay.store.alert_tables import metadata

_moment = DateTime(timezone=True)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 of the key, which has 256 random bits."),
    Column("role", Text, nullable=False),
    Column("created_at", _moment, nullable=False, server_default=text("now()")),
    Column("revoked_at", _moment),
    Column("tenants", ARRAY(Text), comment="NULL for all tenants."),
    Column("source", Text, comment="The source of all its webhooks."),
    Column("expires_at", _moment),
    Column("last_used_at", _moment, comment="Updated once a minute."),
    Column("created_by", Text, comment="The identity of who created it."),
    Column("previous_hash", LargeBinary, comment="The key before the last rotation."),
    Column("previous_until", _moment, comment="Until when that is valid."),
    UniqueConstraint("hash", name="api_keys_hash_key"),
    Index("api_keys_name", "name", unique=True, postgresql_where=text("revoked_at IS NULL")),
    Index("api_keys_previous_hash", "previous_hash", unique=True),
)

versions = Table(
    "versions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("tenant_id", Text, comment="The tenant of the object."),
    Column("at", _moment, nullable=False, server_default=text("now()")),
    Column("author", Text, nullable=False, comment="The identity of who made the change."),
    Column("author_name", Text, nullable=False),
    Column("method", Text, nullable=False, comment="How the author authenticated."),
    Column("address", Text, comment="The client's address."),
    Column("request_id", Text),
    Column("body", JSONB, comment="The object after it, without secrets; NULL when deleted."),
    Column("changes", JSONB, nullable=False, comment="Before and after, for each field."),
    Column("config_version", BigInteger, comment="The version of the configuration that it made."),
    UniqueConstraint("kind", "object_id", "number", name="versions_number"),
    Index("versions_tenant", "tenant_id", "id"),
    Index("versions_config", "config_version", postgresql_where=text("config_version IS NOT NULL")),
    comment="All changes of the configuration, without secrets. Rows are never changed or deleted.",
)

silences = Table(
    "silences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("body", JSONB, nullable=False, comment="All fields but the id."),
    Column("tenant_id", Text, comment="NULL for one of no tenant."),
    Column("starts_at", _moment, nullable=False),
    Column("ends_at", _moment, comment="NULL for a series without an end."),
    Column("created_at", _moment, nullable=False, server_default=text("now()")),
    Column("updated_at", _moment, nullable=False, server_default=text("now()")),
    Column("matched_at", _moment, comment="When it last matched a firing alert, as far as that matters."),
    Column("reminded_for", _moment, comment="The end that its reminder announced."),
    Index("silences_ends_at", "ends_at"),
    Index("silences_tenant", "tenant_id", "id"),
)
