"""Replace `slack_reply_resolved` of channels and channel templates by the value `resolved` of `notify_on`."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

EARLIER = "slack_reply_resolved"
LATER = "notify_on"
ADDED = ("slack_mention_group", "discord_mention_role", "mention_severities", LATER)


def upgrade() -> None:
    """Rewrite what has the earlier field."""
    _rewrite_all(upgraded)


def downgrade() -> None:
    """The earlier release rejects the fields that it does not know."""
    _rewrite_all(downgraded)


def _rewrite_all(rewrite: Any) -> None:
    connection = op.get_bind()
    for table, column, channel_type in (
        ("channels", "config", "channel_type"),
        ("channel_templates", "body", "NULL"),
    ):
        select = sa.text(f"SELECT id, {channel_type} AS channel_type, {column} AS stored FROM {table}")
        for row in connection.execute(select).all():
            rewritten = _rewrite_within(row.stored, rewrite, row.channel_type)
            if rewritten != row.stored:
                statement = sa.text(f"UPDATE {table} SET {column} = CAST(:stored AS jsonb) WHERE id = :id")
                connection.execute(statement, {"stored": json.dumps(rewritten), "id": row.id})


def _rewrite_within(value: Any, rewrite: Any, channel_type: str | None) -> Any:
    """JSON with every object in it rewritten that may be a channel; a channel's own row has its type elsewhere."""
    if isinstance(value, list):
        return [_rewrite_within(item, rewrite, channel_type) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _rewrite_within(item, rewrite, channel_type) for key, item in value.items()}
    return rewrite(inner, channel_type or value.get("channel_type"))


def upgraded(channel: dict[str, Any], _: str | None) -> dict[str, Any]:
    """A channel whose replies to resolved alerts, which were off by default, stay as they are."""
    if EARLIER not in channel:
        return channel
    rest = {key: value for key, value in channel.items() if key != EARLIER}
    return rest | ({LATER: ["firing", "repeat", "resolved"]} if channel[EARLIER] is True else {})


def downgraded(channel: dict[str, Any], channel_type: str | None) -> dict[str, Any]:
    """A channel as the earlier release stores it."""
    if not any(key in channel for key in ADDED):
        return channel
    rest = {key: value for key, value in channel.items() if key not in ADDED}
    replies = channel_type == "slack" and "resolved" in channel.get(LATER, ())
    return rest | ({EARLIER: True} if replies else {})
