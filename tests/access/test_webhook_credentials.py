"""Who may post webhooks, and how a credential is sent."""

import base64
from typing import Any

import pytest

from relay.receive.key_limits import BURST_SECONDS
from tests.fixtures.relays import ADMIN_KEY, ApiResponse, Relay, RelayFactory, alert, webhook
from tests.fixtures.sampling import representatives

TOKEN = "the webhook's token"


async def key(relay: Relay, **fields: Any) -> str:
    response = await relay.call("POST", "/keys", json={"role": "ingest"} | fields)
    assert response.status == 201, response.body
    return str(response.json["key"])


async def post(relay: Relay, authorization: str | None, group: str = "g") -> ApiResponse:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await relay.call("POST", "/webhook", key=None, headers=headers, json=webhook(alert(), group=group))


def basic(password: str, user: str = "alertmanager") -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "basic"])
async def test_the_token_an_ingest_key_and_an_admin_key_are_accepted(
    start_relay: RelayFactory, scheme: str
) -> None:
    relay = await start_relay(webhook_token=TOKEN, deliver=False)
    for credential in (TOKEN, await key(relay, name="am"), await key(relay, name="a", role="admin"), ADMIN_KEY):
        sent = basic(credential) if scheme == "basic" else f"{scheme} {credential}"
        assert (await post(relay, sent)).status == 202


async def test_a_relay_with_a_token_requires_a_credential(start_relay: RelayFactory) -> None:
    relay = await start_relay(webhook_token=TOKEN, deliver=False)
    assert (await post(relay, None)).status == 401


@pytest.mark.parametrize(
    "sent",
    representatives(["Bearer wrong", basic("wrong"), "Basic wrong", basic(""), "Bearer", "Digest x"], keep=2),
)
async def test_a_wrong_credential_is_refused_where_none_is_required(relay: Relay, sent: str) -> None:
    response = await post(relay, sent)
    assert (response.status, (await post(relay, None)).status) == (401, 202)
    metrics = await relay.call("GET", "metrics", key=None)
    assert b'relay_webhooks_total{result="unauthorized"} 1.0' in metrics.body


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_other_roles_may_not_post(relay: Relay, role: str) -> None:
    response = await post(relay, f"Bearer {await key(relay, name='x', role=role)}")
    assert (response.status, role in response.json["detail"]) == (403, True)


async def test_basic_authentication_is_for_the_webhook_alone(relay: Relay) -> None:
    headers = {"Authorization": basic(ADMIN_KEY)}
    assert (await relay.call("GET", "/channels", key=None, headers=headers)).status == 401


async def test_the_token_reads_nothing(start_relay: RelayFactory) -> None:
    relay = await start_relay(webhook_token=TOKEN, deliver=False)
    assert (await relay.call("GET", "/channels", key=TOKEN)).status == 403
    assert (await relay.call("GET", "/me", key=TOKEN)).json["role"] == "ingest"


async def test_a_webhook_needs_a_key_of_one_tenant_or_of_all(relay: Relay) -> None:
    both = await key(relay, name="both", role="admin", tenants=["acme", "globex"])
    response = await post(relay, f"Bearer {both}")
    assert (response.status, "ingest key" in response.json["detail"]) == (403, True)


async def test_an_ingest_key_has_its_own_rate(start_relay: RelayFactory) -> None:
    rate = 0.1
    relay = await start_relay(deliver=False, ingest_rate=rate)
    flooding, other = await key(relay, name="flooding"), await key(relay, name="other")
    assert rate * BURST_SECONDS < 1  # so that one webhook is the burst
    first, second = [await post(relay, f"Bearer {flooding}", group) for group in "ab"]
    assert (first.status, second.status) == (202, 503)
    assert 1 <= int(second.headers["Retry-After"]) <= 10
    assert "flooding" in second.json["detail"]
    assert (await post(relay, f"Bearer {other}")).status == 202
    assert (await post(relay, f"Bearer {ADMIN_KEY}")).status == 202


async def test_a_large_body_counts_as_several_webhooks(start_relay: RelayFactory) -> None:
    relay = await start_relay(deliver=False, ingest_rate=0.4)
    secret = await key(relay, name="am")
    large = webhook(*(alert(str(at), note="x" * 1000) for at in range(200)))
    first = await relay.call("POST", "/webhook", key=secret, json=large)
    second = await post(relay, f"Bearer {secret}")
    assert (first.status, second.status) == (202, 503)
    assert int(second.headers["Retry-After"]) > 5
