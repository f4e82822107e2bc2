"""Which of an issuer's keys verifies a token."""

import json
from typing import Any

import pytest
from aiohttp import web
from joserfc.jwk import OctKey, OKPKey

from relay.access.jwks import parse_key_set
from relay.domain.errors import Unauthorized
from tests.access.conftest import NewCache
from tests.access.issuer import ec_key, public, publish, rsa_key, token, verifier_of
from tests.fixtures.sink import Sink

OLD = ec_key("old")


async def test_a_token_without_key_id_requires_exactly_one_key(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, rsa_key(), OLD)
    await verifier_of(new_cache()).verify(token(OLD, {"kid": None}))
    unnamed = token(ec_key(None))
    publish(sink, rsa_key(), ec_key(None))
    await verifier_of(new_cache()).verify(unnamed)
    publish(sink, OLD, ec_key(None))
    with pytest.raises(Unauthorized, match="names no key"):
        await verifier_of(new_cache()).verify(unnamed)
    publish(sink, rsa_key())
    with pytest.raises(Unauthorized, match="names no key"):
        await verifier_of(new_cache()).verify(unnamed)


@pytest.mark.parametrize(
    "parameters", [{"use": "enc"}, {"use": "other"}, {"key_ops": ["encrypt"]}, {"alg": "ES384"}]
)
async def test_a_key_for_another_use_is_ignored(
    sink: Sink, new_cache: NewCache, parameters: dict[str, Any]
) -> None:
    keys = [*public(OLD, **parameters)["keys"], *public(rsa_key())["keys"]]
    sink.script = lambda request: web.json_response({"keys": keys})
    with pytest.raises(Unauthorized, match="does not publish"):
        await verifier_of(new_cache()).verify(token(OLD))


@pytest.mark.parametrize("parameters", [{"use": "sig"}, {"key_ops": ["verify"]}, {"alg": "ES256", "unknown": 1}])
async def test_a_key_for_signatures_is_used(sink: Sink, new_cache: NewCache, parameters: dict[str, Any]) -> None:
    sink.script = lambda request: web.json_response(public(OLD, **parameters))
    await verifier_of(new_cache()).verify(token(OLD))


def test_keys_that_fit_no_algorithm_are_ignored() -> None:
    secret = OctKey.generate_key(256, {"kid": "secret"})
    ed25519 = OKPKey.generate_key("Ed25519", {"kid": "ed"})
    entries = public(OLD, rsa_key(), ed25519)["keys"] + [secret.as_dict(), {"kty": "unknown"}, 1]
    body = json.dumps({"keys": entries}).encode()
    kids = [
        [key.kid for key in parse_key_set(body, algorithms)]
        for algorithms in (["ES256"], ["RS256", "ES256"], ["EdDSA"], ["Ed25519"])
    ]
    assert kids == [["old"], ["old", "rsa"], ["ed"], ["ed"]]
