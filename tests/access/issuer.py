"""A token issuer: its keys, its tokens, and settings that accept them."""

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey

from relay.access.jwks import KeySetCache, guarded_fetch
from relay.access.tokens import TokenVerifier
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.proxy import ProxySettings
from relay.settings import Settings, load
from tests.fixtures.sink import Sink

NOW: Final = 1_800_000_000
CLAIMS: Final[dict[str, Any]] = {
    "iss": "https://issuer.example",
    "aud": "relay",
    "sub": "user-1",
    "exp": NOW + 60,
    "role": "operator",
    "tenant_id": "a",
    "name": "Ana",
}
POLICY: Final = EgressPolicy(["127.0.0.1"])
fetch: Final = guarded_fetch(POLICY, ProxySettings(None, ()))


@cache
def ec_key(kid: str | None = "first") -> ECKey:
    """A key for ES256."""
    return ECKey.generate_key("P-256", {} if kid is None else {"kid": kid})


@cache
def rsa_key(kid: str = "rsa") -> RSAKey:
    """A key for RS256."""
    return RSAKey.generate_key(2048, {"kid": kid})


def public(*keys: Key, **parameters: Any) -> dict[str, Any]:
    """The key set with the public halves of keys."""
    return {"keys": [key.as_dict(private=False, **parameters) for key in keys]}


def publish(sink: Sink, *keys: Key) -> None:
    """Let the sink respond with a key set."""
    sink.script = lambda request: web.json_response(public(*keys))


def token(key: Key | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token that is valid, unless its header or claims are changed. One that is None is missing."""
    key = key or ec_key()
    full_header = _without_none({"alg": "ES256", "kid": key.kid} | (header or {}))
    return jwt.encode(full_header, _without_none(CLAIMS | claims), key, algorithms=[full_header["alg"]])


def encoded(data: Any) -> str:
    """A part of a token: JSON, or bytes, in URL-safe base64 without padding."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def settings_of(url: str = "https://issuer.example/keys", **variables: str) -> Settings:
    """Settings that accept tokens with RS256 and ES256."""
    given = {
        "JWT_JWKS_URL": url,
        "JWT_ALGORITHMS": "RS256,ES256",
        "JWT_ISSUER": CLAIMS["iss"],
        "JWT_AUDIENCE": CLAIMS["aud"],
    }
    return load({f"RELAY_{name}": value for name, value in (given | variables).items()})


def verifier_of(keys: KeySetCache, now: Callable[[], float] = lambda: NOW, **variables: str) -> TokenVerifier:
    """A verifier whose clock shows NOW."""
    return TokenVerifier(settings_of(**variables), keys, now)


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}
