"""Certificates of a channel: its own authorities, and a client certificate."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from relay.domain.channel_types import PagerDutyChannel, WebhookChannel
from relay.domain.errors import InvalidInput
from relay.domain.outcomes import Reason, Retry, Sent
from relay.notify.registry import check_channel
from relay.notify.transport.egress_policy import EgressPolicy
from tests.fixtures.certificates import Authority
from tests.fixtures.mail_server import mail_server
from tests.fixtures.platforms import listening
from tests.notify.factories import channel
from tests.notify.sending import send, send_mail


async def test_a_server_of_a_private_authority_is_trusted_only_with_its_certificate(tmp_path: Path) -> None:
    authority = Authority()
    async with listening(authority.server_context(tmp_path)) as platform:
        trusted = await send(WebhookChannel, platform.url, tls_ca=authority.certificate)
        untrusted = await send(WebhookChannel, platform.url)
        other = await send(WebhookChannel, platform.url, tls_ca=Authority("Other CA").certificate)

    assert isinstance(trusted, Sent)
    for outcome in (untrusted, other):
        assert isinstance(outcome, Retry)
        assert outcome.detail.startswith("TLS failed, the certificate is not trusted: ")


async def test_a_server_that_requires_a_client_certificate_gets_that_of_the_channel(tmp_path: Path) -> None:
    authority = Authority()
    ours, foreign = authority.issue("relay"), Authority("Other CA").issue("relay")
    async with listening(authority.server_context(tmp_path, clients=authority)) as platform:
        tls: dict[str, Any] = {"tls_ca": authority.certificate}
        accepted = await send(WebhookChannel, platform.url, **tls, tls_cert=ours.certificate, tls_key=ours.key)
        without = await send(WebhookChannel, platform.url, **tls)
        rejected = await send(
            WebhookChannel, platform.url, **tls, tls_cert=foreign.certificate, tls_key=foreign.key
        )

    assert isinstance(accepted, Sent)
    for outcome in (without, rejected):
        assert isinstance(outcome, Retry)
        assert outcome.reason is Reason.CONNECTION_ERROR
    assert len(platform.received) == 1


async def test_a_mail_server_of_a_private_authority_is_trusted_with_its_certificate(tmp_path: Path) -> None:
    authority = Authority()
    async with mail_server(tls=authority.server_context(tmp_path)) as server:
        trusted = await send_mail(server.port, "tls", tls_ca=authority.certificate)
        untrusted = await send_mail(server.port, "tls")

    assert isinstance(trusted, Sent)
    assert isinstance(untrusted, Retry)
    assert len(server.arrived) == 1


def encrypted(key: str) -> str:
    """The key, encrypted with a password."""
    loaded = serialization.load_pem_private_key(key.encode(), None)
    password = serialization.BestAvailableEncryption(b"password")
    return loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password).decode()


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("tls_ca", lambda _: {"tls_ca": "no certificate"}),
        ("tls_ca", lambda _: {"tls_ca": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"}),
        ("tls_ca", lambda _: {"tls_ca": "ä"}),
        ("tls_ca", lambda _: {"tls_ca": ""}),
        ("tls_key", lambda ours: {"tls_cert": ours.certificate}),
        ("tls_cert", lambda ours: {"tls_key": ours.key}),
        ("tls_cert", lambda ours: {"tls_cert": "x", "tls_key": ours.key}),
        ("tls_cert", lambda ours: {"tls_cert": ours.certificate, "tls_key": "x"}),
        ("tls_cert", lambda ours: {"tls_cert": ours.certificate, "tls_key": encrypted(ours.key)}),
        ("tls_key", lambda ours: {"tls_cert": ours.certificate, "tls_key": Authority().issue("x").key}),
        ("tls_ca", lambda _: {"tls_ca": "x" * 200_000}),
    ],
)
def test_what_cannot_be_used_is_rejected_at_creation(field: str, given: Any) -> None:
    settings = given(Authority().issue("relay"))
    with pytest.raises(InvalidInput) as error:
        check_channel(channel(PagerDutyChannel, **settings), EgressPolicy(()))
    assert error.value.field == field
