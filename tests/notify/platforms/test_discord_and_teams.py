"""The errors that Discord and Teams report in their own ways, and the validation of their settings."""

from typing import Any

import msgspec
import pytest
from aiohttp import web

from relay.domain.channel_types import DiscordChannel, TeamsChannel
from relay.domain.errors import InvalidInput
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from relay.notify.registry import check_channel
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.sink import Sink
from tests.notify.factories import alert, channel, digest, notification
from tests.notify.sending import send
from tests.notify.strict.discord import DISCORD_HOOK, StrictDiscord


async def test_a_deleted_discord_webhook_is_a_gone_destination(sink: Sink) -> None:
    sink.script = lambda _: web.json_response({"message": "Unknown Webhook", "code": 10015}, status=404)
    outcome = await send(DiscordChannel, sink.url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is Reason.DESTINATION_GONE
    assert "Unknown Webhook" in outcome.detail


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, "WorkflowNotFound", Reason.DESTINATION_GONE),
        (404, "ResourceNotFound", Reason.CLIENT_ERROR),
        (400, "WorkflowTriggerIsNotEnabled", Reason.CLIENT_ERROR),
        (401, "DirectApiAuthorizationRequired", Reason.AUTH_ERROR),
    ],
)
async def test_a_deleted_or_disabled_workflow_is_retried(
    status: int, code: str, reason: Reason, sink: Sink
) -> None:
    sink.script = lambda _: web.json_response({"error": {"code": code, "message": "no"}}, status=status)
    outcome = await send(TeamsChannel, sink.url)
    assert isinstance(outcome, Retry)
    assert outcome.reason is reason
    assert code in outcome.detail


async def test_an_error_about_an_edited_message_rejects_a_new_one(sink: Sink) -> None:
    sink.script = lambda _: web.json_response({"message": "Unknown Message", "code": 10008}, status=404)
    outcome = await send(DiscordChannel, sink.url)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.MESSAGE_GONE


async def test_the_settings_of_discord_are_sent(sink: Sink) -> None:
    await send(DiscordChannel, sink.url, discord_username="Relay", discord_avatar_url="https://x.example/a.png")
    message = sink.received[0].json
    assert (message["username"], message["avatar_url"]) == ("Relay", "https://x.example/a.png")


async def test_a_forum_gets_a_post_for_each_group_which_is_edited(sink: Sink) -> None:
    sink.script = discord = StrictDiscord(forum=True)
    url = sink.url + DISCORD_HOOK
    settings: dict[str, Any] = {"discord_thread_name": "Alerts"}

    first = await send(DiscordChannel, url, notification(*[alert(f"Disk{at}") for at in range(100)]), **settings)
    assert isinstance(first, Sent)
    edited = msgspec.structs.replace(notification(alert(status="resolved")), message_refs=first.message_refs)
    second = await send(DiscordChannel, url, edited, **settings)

    assert isinstance(second, Sent)
    assert second.message_refs == first.message_refs
    assert list(discord.threads.values()) == ["Alerts"]
    [message] = discord.messages
    assert "[FIRING:100]" in message.versions[0].replace("\\", "")
    assert "[RESOLVED:1]" in message.text.replace("\\", "")


async def test_a_message_goes_to_the_thread_of_the_channel_and_is_edited_there(sink: Sink) -> None:
    sink.script = discord = StrictDiscord()
    url = sink.url + DISCORD_HOOK
    settings: dict[str, Any] = {"discord_thread_id": "77"}

    first = await send(DiscordChannel, url, **settings)
    assert isinstance(first, Sent)
    edited = msgspec.structs.replace(notification(alert(status="resolved")), message_refs=first.message_refs)
    await send(DiscordChannel, url, edited, **settings)
    await send(DiscordChannel, url, digest(), **settings)

    assert [(message.thread, len(message.versions)) for message in discord.messages] == [("77", 2), ("77", 1)]


async def test_a_forum_without_a_thread_is_an_error_of_the_channel(sink: Sink) -> None:
    sink.script = StrictDiscord(forum=True)
    outcome = await send(DiscordChannel, sink.url + DISCORD_HOOK)
    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.unconfirmed) == (Reason.CLIENT_ERROR, False)
    assert "must have a thread_name or thread_id" in outcome.detail


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"discord_thread_id": "x"}, "discord_thread_id"),
        ({"discord_thread_id": ""}, "discord_thread_id"),
        ({"discord_thread_name": " "}, "discord_thread_name"),
        ({"discord_thread_name": "x" * 101}, "discord_thread_name"),
        ({"discord_thread_name": "x", "discord_thread_id": "7"}, "discord_thread_name"),
        ({"webhook_url": "https://discord.com/x?thread_id=7", "discord_thread_id": "7"}, "discord_thread_id"),
    ],
)
def test_a_thread_that_discord_would_reject_is_rejected_early(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(DiscordChannel, **settings), EgressPolicy(()))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("discord_username", ""),
        ("discord_username", "   "),
        ("discord_username", "x" * 81),
        ("discord_username", "My Discord bot"),
        ("discord_username", "CLYDE"),
        ("discord_avatar_url", "javascript:alert(1)"),
        ("discord_avatar_url", "avatar.png"),
    ],
)
def test_settings_that_discord_would_reject_are_rejected_early(field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_channel(channel(DiscordChannel, **{field: value}), EgressPolicy(()))
    assert caught.value.field == field


@pytest.mark.parametrize("status", [200, 202])
async def test_a_card_too_large_for_teams_is_rejected_inside_a_2xx(status: int, sink: Sink) -> None:
    text = "Webhook failed: Request Entity too large"
    sink.script = lambda _: web.Response(status=status, text=text)
    assert await send(TeamsChannel, sink.url) == Rejected(Reason.CLIENT_ERROR, text, status)


@pytest.mark.parametrize(
    ("inner_status", "outcome"),
    [
        (413, Rejected(Reason.CLIENT_ERROR, "", 413)),
        (429, Retry(Reason.RATE_LIMITED, "", 429)),
        (503, Retry(Reason.SERVER_ERROR, "", 503)),
    ],
)
@pytest.mark.parametrize("status", [200, 202])
async def test_an_error_of_teams_inside_a_2xx_counts(
    status: int, inner_status: int, outcome: Rejected | Retry, sink: Sink
) -> None:
    text = (
        f"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {inner_status}"
    )
    sink.script = lambda _: web.Response(status=status, text=f"{text} with ContextId tcid=0")
    assert await send(TeamsChannel, sink.url) == msgspec.structs.replace(
        outcome, detail=f"{inner_status} {text} with ContextId tcid=0"
    )


async def test_the_title_of_teams_is_shown(sink: Sink) -> None:
    await send(TeamsChannel, sink.url, teams_title="Production " + "x" * 1000)
    card = sink.received[0].json["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["text"].startswith("Production x")


@pytest.mark.parametrize("host", ["contoso.webhook.office.com", "WEBHOOK.office.com.", "a.webhook.office.com:443"])
def test_a_retired_office_365_connector_is_rejected(host: str) -> None:
    with pytest.raises(InvalidInput, match="Workflows") as caught:
        check_channel(channel(TeamsChannel, f"https://{host}/webhookb2/hidden"), EgressPolicy(()))
    assert caught.value.field == "webhook_url"
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["prod-1.westeurope.logic.azure.com", "x.environment.api.powerplatform.com", "notwebhook.office.com"]
)
def test_other_hosts_are_accepted(host: str) -> None:
    check_channel(channel(TeamsChannel, f"https://{host}/x"), EgressPolicy(()))
