"""What suppressed an alert, in the explanations of why it was not sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fixtures.explaining import hook, post, why
from tests.fixtures.relays import Relay, alert, webhook
from tests.fixtures.sink import Sink


async def test_what_suppressed_an_alert_is_named_as_it_was_then(relay: Relay, sql: Any, sink: Sink) -> None:
    await hook(relay, sink, "all")
    alert_id = await post(relay, sql, webhook(alert()))
    await relay.settled(1)
    silence = "7b0c2f0e-31d1-4be3-a2b5-d3a9d7bd6d7f"
    await suppress(sql, alert_id, [f"silence:{silence}", f"acknowledged:{alert_id}"])
    await record(sql, silence, 1, 1, {"comment": "maintenance", "created_by": "key:relay:1"})
    await record(sql, silence, 2, 1_000_000, {"comment": "changed later", "created_by": "key:relay:1"})
    await sql.execute(
        "INSERT INTO acknowledgements (alert_id, author, author_name, comment, created_at) "
        "VALUES ($1, 'x', 'Ann', 'on it', now() - interval '1 hour')",
        alert_id,
    )

    found = await why(relay, alert_id, "all")

    assert found["verdict"] == "suppressed"
    by = [(one["kind"], one["comment"], one["created_by"]) for one in found["suppressed_by"]]
    assert by == [("acknowledgement", "on it", "Ann"), ("silence", "maintenance", "key:relay:1")]
    assert found["suppressed_by"][1]["since"] == "2026-11-01T00:00:00Z"
    assert "silenced by key:relay:1 since 2026-11-01T00:00:00Z (maintenance)" in found["detail"]


async def suppress(sql: Any, alert_id: int, names: list[str]) -> None:
    """Turn the delivery into one that sent other alerts, with a suppressed one beside it."""
    await sql.execute("UPDATE deliveries SET withheld = $1", [alert_id])
    await sql.execute(
        "INSERT INTO deliveries (receipt_id, channel_id, kind, group_hash, positions, rank, state, created_at, "
        "waiting_since, alert_ids, suppressed_by, config_version) "
        "SELECT receipt_id, channel_id, kind, group_hash, positions, rank, 'suppressed', now(), now(), $1, "
        "(SELECT jsonb_object_agg(name, $2::jsonb) FROM unnest($3::text[]) AS name), 1000 FROM deliveries",
        [alert_id],
        f"[{alert_id}]",
        names,
    )


async def record(sql: Any, silence_id: str, number: int, config_version: int, fields: dict[str, str]) -> None:
    """Record a version of a silence."""
    await sql.execute(
        "INSERT INTO versions (kind, object_id, number, action, author, author_name, method, body, changes, "
        "config_version) VALUES ('silence', $1, $2, 'updated', 'x', 'x', 'x', "
        "jsonb_build_object('comment', $3::text, 'created_by', $4::text, 'starts_at', '2026-11-01T00:00:00Z', "
        "'ends_at', NULL, 'matchers', '[]'::jsonb), '{}', $5)",
        silence_id,
        number,
        fields["comment"],
        fields["created_by"],
        config_version,
    )


async def test_an_acknowledgement_that_suppresses_a_repeat_is_named(relay: Relay, sql: Any, sink: Sink) -> None:
    await hook(relay, sink, "all")
    alert_id = await post(relay, sql, webhook(alert("Down")))
    await relay.settled(1)
    await sql.execute(
        "INSERT INTO acknowledgements (alert_id, author, author_name, comment) VALUES ($1, 'x', 'Ann', 'on it')",
        alert_id,
    )
    await post(relay, sql, webhook(alert("Down"), alert("New")))
    await relay.settled(2)

    found = await why(relay, alert_id, "all")

    assert [one["verdict"] for one in found["webhooks"]] == ["sent", "suppressed"]
    assert found["verdict"] == "sent"
    assert found["detail"].endswith("(on it)")
    assert "; the last webhook: not sent: acknowledged by Ann since " in found["detail"]


async def test_a_silenced_alert_is_explained_until_and_after_its_release(
    relay: Relay, sql: Any, sink: Sink
) -> None:
    await hook(relay, sink, "all")
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    silence = {"matchers": ["team=db"], "ends_at": ends_at, "comment": "maintenance", "created_by": "Ann"}
    created = (await relay.change("POST", "/silences", json=silence)).json
    alert_id = await post(relay, sql, webhook(alert("Down", team="db"), alert("Other")))
    await relay.settled(1)

    found = await why(relay, alert_id, "all")

    assert (found["verdict"], found["message_id"]) == ("suppressed", None)
    by = [(one["id"], one["comment"], one["created_by"], one["since"]) for one in found["suppressed_by"]]
    assert by == [(created["id"], "maintenance", "Ann", created["starts_at"])]
    assert found["detail"] == f"not sent: silenced by Ann since {created['starts_at'][:19]}Z (maintenance)"

    await relay.change("PATCH", f"/silences/{created['id']}", json={"comment": "changed"})
    await relay.change("POST", f"/silences/{created['id']}/expire")
    await relay.settled(2)

    found = await why(relay, alert_id, "all")
    assert (found["verdict"], found["message_state"]) == ("merged", "delivered")
    assert "after what suppressed it had ended" in found["detail"]
    assert [one["comment"] for one in found["suppressed_by"]] == ["maintenance"]
