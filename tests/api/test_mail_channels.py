"""Email channels, from the API to the mail server."""

from tests.fixtures.mail_server import LOGIN, mail_server
from tests.fixtures.relays import Relay, webhook
from tests.notify.strict.mail import parse_mail

MASK = "********"
MAIL = {
    "name": "Mail",
    "channel_type": "email",
    "smtp_host": "127.0.0.1",
    "smtp_security": "none",
    "smtp_username": LOGIN[0],
    "smtp_password": LOGIN[1],
    "email_from": "relay@example.com",
    "email_to": ["ops@example.com"],
}


async def test_an_alert_is_mailed_with_a_login_that_responses_mask(relay: Relay) -> None:
    async with mail_server(auth_require_tls=False) as server:
        created = await relay.channel(**MAIL, smtp_port=server.port)
        await relay.webhook(webhook())
        await relay.settled(1, "delivered")

    assert created["smtp_password"] == MASK
    [mail] = server.arrived
    assert (mail.recipients, mail.login) == (["ops@example.com"], LOGIN[0])
    assert parse_mail(mail.content).text


async def test_a_wrong_login_is_reported_by_a_test_message(relay: Relay) -> None:
    async with mail_server(auth_require_tls=False) as server:
        await relay.channel(**MAIL | {"smtp_password": "s3cret-and-wrong"}, smtp_port=server.port)
        result = (await relay.call("POST", "/test", json={"channel_id": "mail"})).json

    assert (result["delivered"], result["reason"], result["status_code"]) == (False, "authError", 535)
    assert "s3cret" not in str(result)
