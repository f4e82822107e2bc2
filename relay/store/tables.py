"""The tables, as the migrations create them; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from relay.domain.history import Kind, State
from relay.store.access_tables import api_keys, silences, versions
from relay.store.alert_tables import (
    acknowledgements,
    alerts,
    group_states,
    is_one_of,
    metadata,
    receipts,
    repeats,
    senders,
    series,
    sources,
)

_moment = DateTime(timezone=True)

config_version = Table(
    "config_version",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="config_version_one_row"),
    comment="One row; a trigger increments the version at every change of the configuration.",
)

channels = Table(
    "channels",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_type", Text, nullable=False),
    Column("config", JSONB, nullable=False, comment="The settings, without id, type and secret fields."),
    Column("sealed", LargeBinary, nullable=False, comment="The secret fields, encrypted and bound to the id."),
    Column("enabled", Boolean, Computed("(config ->> 'enabled')::boolean", persisted=True), nullable=False),
    Column("disabled_reason", Text, comment="Why the relay disabled the channel."),
    Column("created_at", _moment, nullable=False, server_default=text("now()")),
    Column("updated_at", _moment, nullable=False, server_default=text("now()")),
    Column("tenant_id", Text, Computed("config ->> 'tenant_id'", persisted=True)),
    Index("channels_tenant", "tenant_id", "id"),
)

channel_templates = Table(
    "channel_templates",
    metadata,
    Column("id", Text, primary_key=True),
    Column("body", JSONB, nullable=False, comment="All fields but the id; they contain no secrets."),
    Column("created_at", _moment, nullable=False, server_default=text("now()")),
    Column("updated_at", _moment, nullable=False, server_default=text("now()")),
    Column("tenant_id", Text, comment="NULL for one of no tenant."),
    comment="Templates of users; the built-in ones are in the code.",
)

message_templates = Table(
    "message_templates",
    metadata,
    Column("id", Text, primary_key=True),
    Column("version", Integer, nullable=False, comment="The current version."),
    Column("body", JSONB, nullable=False, comment="The body of that version."),
    Column("updated_at", _moment, nullable=False, server_default=text("now()")),
    Column("tenant_id", Text, comment="NULL for one of no tenant."),
)

lanes = Table(
    "lanes",
    metadata,
    Column("channel_id", Text, ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "enqueued",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="Incremented by every commit that queues a delivery.",
    ),
    Column("next_due", _moment, comment="When a delivery is due; NULL when none is pending."),
    Column("owner", Text, comment="The worker that holds the lease."),
    Column("lease_until", _moment),
    Column("epoch", BigInteger, nullable=False, server_default=text("0"), comment="Incremented with every lease."),
    Column("tokens", Double, comment="Tokens in the bucket at tokens_at; NULL when it is full."),
    Column("tokens_at", _moment),
    Column(
        "held_until",
        _moment,
        comment="Nothing is sent before: the platform or the circuit breaker holds it back.",
    ),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="Consecutive failures."),
    Column("opened_at", _moment, comment="When the circuit breaker opened; NULL when it is closed."),
    Column(
        "probes",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="Attempts since the circuit breaker opened.",
    ),
    Column("digested_at", _moment, comment="When the last digest was claimed."),
    Column("last_success_at", _moment),
    Column("last_failure_at", _moment),
    Column("last_reason", Text),
    Column("last_error", Text),
    postgresql_with={
        "fillfactor": "50",
        "autovacuum_vacuum_scale_factor": "0",
        "autovacuum_vacuum_threshold": "500",
    },
)

# Partitioned by state into deliveries_waiting, deliveries_suppressed and deliveries_finished; their own indexes
# are in the migrations.
deliveries = Table(
    "deliveries",
    metadata,
    Column(
        "id",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        server_default=text("nextval('deliveries_id_seq'::regclass)"),
    ),
    Column("receipt_id", BigInteger, comment="NULL for a digest."),
    Column("channel_id", Text, nullable=False, comment="No foreign key: the history outlives the channel."),
    Column(
        "kind", Text, nullable=False, server_default=text(f"'{Kind.GROUP}'"), comment="group, digest or refresh."
    ),
    Column("group_hash", BigInteger, nullable=False, comment="0 for a digest."),
    Column("positions", ARRAY(Integer), comment="Positions of the alerts in the body; NULL for all."),
    Column(
        "rank",
        SmallInteger,
        nullable=False,
        comment="Its place in the queue: 0 is critical, 100 is for refreshes.",
    ),
    Column("state", Text, primary_key=True),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("created_at", _moment, nullable=False),
    Column(
        "waiting_since", _moment, nullable=False, comment="When it became pending, at first or by a redelivery."
    ),
    Column("next_attempt_at", _moment),
    Column("delivered_at", _moment),
    Column("redelivered_at", _moment),
    Column("merged_into", BigInteger, comment="The delivery that this one was merged into."),
    Column("fallback_of", BigInteger, comment="The delivery in whose place this one is sent."),
    Column("progress", Text, comment="Which of its requests were accepted, when it needs several."),
    Column("last_reason", Text),
    Column("last_error", Text),
    Column("source", Text, nullable=False, server_default=text("''"), comment="Empty for a digest."),
    Column("tenant_id", Text, comment="The tenant of its channel."),
    Column("alert_ids", ARRAY(BigInteger), comment="Its alerts, where these are not those of positions."),
    Column(
        "withheld",
        ARRAY(BigInteger),
        nullable=False,
        server_default=text("'{}'"),
        comment="Alerts that were suppressed: the message is without these.",
    ),
    Column("suppressed_by", JSONB, comment="What suppressed it, each with the ids of its alerts."),
    Column("config_version", BigInteger, comment="The version of the configuration that suppressed it."),
    CheckConstraint(is_one_of("state", State), name="deliveries_state"),
    CheckConstraint(is_one_of("kind", Kind), name="deliveries_kind"),
    CheckConstraint(f"(kind = '{Kind.DIGEST}') = (receipt_id IS NULL)", name="deliveries_kind_receipt"),
    Index("deliveries_receipt", "receipt_id"),
    Index("deliveries_tenant", "tenant_id", "id", postgresql_where=text("tenant_id IS NOT NULL")),
    Index("deliveries_explicit", "channel_id", "group_hash", postgresql_where=text("alert_ids IS NOT NULL")),
    postgresql_partition_by="LIST (state)",
)

held_deliveries = Table(
    "held_deliveries",
    metadata,
    Column("suppressor", Text, primary_key=True),
    Column("channel_id", Text, primary_key=True),
    Column("group_hash", BigInteger, primary_key=True, autoincrement=False),
    Column("delivery_id", BigInteger, primary_key=True, autoincrement=False),
    Index("held_deliveries_group", "channel_id", "group_hash"),
    Index("held_deliveries_delivery", "delivery_id"),
    comment="What suppresses deliveries whose alerts are to be sent when that ends.",
)

edited_messages = Table(
    "edited_messages",
    metadata,
    Column("channel_id", Text, ForeignKey("lanes.channel_id", ondelete="CASCADE"), primary_key=True),
    Column("group_hash", BigInteger, primary_key=True, autoincrement=False),
    Column(
        "destination_hash", LargeBinary, nullable=False, comment="A hash of where on the platform the message is."
    ),
    Column("message_refs", JSONB, nullable=False, comment="The platform's references, one for each part."),
    Column("alert_ids", ARRAY(BigInteger), nullable=False, comment="The alerts that the message shows."),
    Column(
        "omitted", Integer, nullable=False, comment="Alerts that the message showed once, and no longer shows."
    ),
    Column("all_resolved", Boolean, nullable=False, comment="Whether none of the alerts fires."),
    Column("updated_at", _moment, nullable=False),
    comment="The messages of groups that are still edited.",
)

tallies = Table(
    "tallies",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("period", _moment, primary_key=True, comment="The start of the five minutes."),
    Column("outcome", Text, primary_key=True),
    Column(
        "bucket", SmallInteger, primary_key=True, comment="The bucket of the duration; see relay/domain/health.py."
    ),
    Column("attempts", BigInteger, nullable=False),
    comment="Attempts counted by outcome and duration, for the health of channels.",
    postgresql_with={"fillfactor": "70"},
)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", _moment, nullable=False),
    Column("duration", Double, nullable=False, comment="Seconds."),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("status_code", Integer),
    Column("detail", Text),
)

__all__ = [
    "acknowledgements",
    "alerts",
    "api_keys",
    "attempts",
    "channel_templates",
    "channels",
    "config_version",
    "deliveries",
    "edited_messages",
    "group_states",
    "held_deliveries",
    "lanes",
    "message_templates",
    "metadata",
    "receipts",
    "repeats",
    "senders",
    "series",
    "silences",
    "sources",
    "tallies",
    "versions",
]
