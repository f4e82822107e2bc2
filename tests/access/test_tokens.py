"""Tokens of another application."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from relay.access.tokens import MAX_TOKEN, SharedSecret, TokenVerifier, claim_at
from relay.domain.errors import Forbidden, SettingsError, Unauthorized
from relay.domain.principals import Principal, Role
from relay.settings import load
from tests.access.conftest import NewCache
from tests.access.issuer import CLAIMS, NOW, ec_key, encoded, publish, rsa_key, token, verifier_of
from tests.fixtures.sink import Sink

SECRET = "s3cret" * 6
HEADER = {"alg": "ES256", "kid": "first"}


@pytest.fixture
async def verifier(sink: Sink, new_cache: NewCache) -> TokenVerifier:
    """Accepts the tokens of two keys, for RS256 and for ES256."""
    publish(sink, rsa_key(), ec_key())
    return verifier_of(new_cache())


@pytest.fixture
async def shared() -> AsyncIterator[TokenVerifier]:
    """Accepts the tokens of a shared secret."""
    variables = {"JWT_SECRET": SECRET, "JWT_ISSUER": CLAIMS["iss"], "JWT_AUDIENCE": "relay"}
    settings = load({f"RELAY_{name}": value for name, value in variables.items()})
    verifier = TokenVerifier(settings, SharedSecret(SECRET), lambda: NOW)
    yield verifier
    await verifier.close()


async def refusal(verifier: TokenVerifier, text: str) -> str:
    """The error for a token, which is one line and contains none of the token's parts."""
    with pytest.raises(Unauthorized) as caught:
        await verifier.verify(text)
    message = str(caught.value)
    assert "\n" not in message
    assert not any(part in message for part in text.split(".") if len(part) > 5)
    return message


def signed(header: Any, payload: bytes) -> str:
    """A token with any header and payload, signed by the issuer's key."""
    content = f"{encoded(header)}.{encoded(payload)}"
    signature = JWSRegistry.algorithms["ES256"].sign(content.encode(), ec_key())
    return f"{content}.{encoded(signature)}"


async def test_a_token_names_its_user(verifier: TokenVerifier) -> None:
    expected = Principal(
        kind="token",
        issuer="https://issuer.example",
        subject="user-1",
        name="Ana",
        role=Role.OPERATOR,
        tenants=frozenset({"a"}),
        method="jwt",
    )
    assert await verifier.verify(token()) == expected
    assert await verifier.verify(token(rsa_key(), {"alg": "RS256"})) == expected


async def test_a_shared_secret_verifies_tokens(shared: TokenVerifier) -> None:
    key = OctKey.import_key(SECRET)
    assert (await shared.verify(token(key, {"alg": "HS256"}))).subject == "user-1"
    assert (await shared.verify(token(key, {"alg": "HS256", "kid": "any"}))).subject == "user-1"
    other = OctKey.import_key("0" * 36)
    assert await refusal(shared, token(other, {"alg": "HS256"})) == "the signature of the token is invalid"


async def test_a_shared_secret_verifies_no_other_algorithm(shared: TokenVerifier) -> None:
    message = "the algorithm of the token is not HS256"
    assert await refusal(shared, token()) == message
    assert await refusal(shared, token(OctKey.import_key(SECRET), {"alg": "HS512"})) == message


def test_a_public_key_is_no_shared_secret() -> None:
    with pytest.raises(SettingsError, match="RELAY_JWT_SECRET"):
        SharedSecret(rsa_key().as_pem(private=False).decode())


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
async def test_a_token_without_signature_is_refused(verifier: TokenVerifier, algorithm: str) -> None:
    unsigned = f"{encoded({'alg': algorithm, 'kid': 'first'})}.{encoded(CLAIMS)}."
    assert await refusal(verifier, unsigned) == "the algorithm of the token is not RS256 or ES256"


@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
@pytest.mark.parametrize("encoding", ["PEM", "DER"])
async def test_an_hmac_with_the_public_key_is_refused(
    verifier: TokenVerifier, algorithm: str, encoding: Any
) -> None:
    content = f"{encoded({'alg': algorithm, 'kid': 'rsa'})}.{encoded(CLAIMS)}"
    secret = rsa_key().as_bytes(encoding=encoding, private=False)
    forged = hmac.digest(secret, content.encode(), hashlib.sha256)
    await refusal(verifier, f"{content}.{encoded(forged)}")


async def test_a_changed_token_is_refused(verifier: TokenVerifier) -> None:
    header, _, signature = token().split(".")
    changed = f"{header}.{encoded(CLAIMS | {'role': 'admin'})}.{signature}"
    assert await refusal(verifier, changed) == "the signature of the token is invalid"
    header, payload, _ = token().split(".")
    assert await refusal(verifier, f"{header}.{payload}.") == "the signature of the token is invalid"


async def test_a_key_of_the_header_is_ignored(verifier: TokenVerifier) -> None:
    own = ec_key("first of another")
    header = {"kid": "first", "jwk": own.as_dict(private=False), "jku": "https://evil.example/keys"}
    assert await refusal(verifier, token(own, header)) == "the signature of the token is invalid"


async def test_a_key_is_for_its_own_algorithm(verifier: TokenVerifier) -> None:
    await refusal(verifier, token(ec_key(), {"kid": "rsa"}))
    await refusal(verifier, token(rsa_key(), {"alg": "PS256"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": None}, "the token lacks the claim exp"),
        ({"exp": NOW - 30}, "the token has expired"),
        ({"exp": "tomorrow"}, "the claim exp of the token is invalid"),
        ({"exp": True}, "the claim exp of the token is invalid"),
        ({"nbf": NOW + 31}, "the token is not valid yet"),
        ({"iat": NOW + 31}, "the token was issued in the future"),
        ({"iss": None}, "the token lacks the claim iss"),
        ({"iss": "https://other.example"}, "the token is from another issuer"),
        ({"iss": ["https://issuer.example"]}, "the token is from another issuer"),
        ({"aud": None}, "the token lacks the claim aud"),
        ({"aud": "other"}, "the token is for another audience"),
        ({"aud": ["other"]}, "the token is for another audience"),
        ({"aud": []}, "the token is for another audience"),
        ({"sub": None}, "the token lacks the claim sub"),
        ({"sub": ""}, "the claim sub of the token is invalid"),
        ({"sub": 1}, "the claim sub of the token is invalid"),
        ({"sub": "a" * 256}, "the claim sub must be a text of 1 to 255 characters"),
        ({"sub": "a\0b"}, "the claim sub must not contain U+0000 or lone surrogates"),
        ({"role": 1}, "the claim role of the token must be a string or an array of strings"),
        ({"role": ["operator", 1]}, "the claim role of the token must be a string or an array of strings"),
        ({"tenant_id": {"a": 1}}, "the claim tenant_id of the token must be a string or an array of strings"),
        ({"tenant_id": ["a", ""]}, "a tenant must be a text of 1 to 255 characters"),
    ],
)
async def test_a_token_with_an_invalid_claim_is_refused(
    verifier: TokenVerifier, changes: dict[str, Any], message: str
) -> None:
    assert await refusal(verifier, token(**changes)) == message


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 29},
        {"exp": NOW + 0.5},
        {"nbf": NOW + 30},
        {"aud": ["other", "relay"]},
        {"iat": NOW + 30},
    ],
)
async def test_clocks_may_differ_and_audiences_be_several(
    verifier: TokenVerifier, changes: dict[str, Any]
) -> None:
    assert (await verifier.verify(token(**changes))).subject == "user-1"


async def test_the_leeway_is_a_setting(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, ec_key())
    strict = verifier_of(new_cache(), JWT_LEEWAY="0")
    assert await refusal(strict, token(exp=NOW)) == "the token has expired"
    assert (await strict.verify(token(exp=NOW + 1))).subject == "user-1"


@pytest.mark.parametrize(
    "extension", [{"crit": ["x"], "x": 1}, {"crit": []}, {"crit": "x"}, {"crit": ["b64"], "b64": False}]
)
async def test_a_critical_header_is_refused(verifier: TokenVerifier, extension: dict[str, Any]) -> None:
    text = signed(HEADER | extension, json.dumps(CLAIMS).encode())
    assert "critical headers" in await refusal(verifier, text)


async def test_an_unknown_header_that_is_not_critical_is_ignored(verifier: TokenVerifier) -> None:
    header = HEADER | {"cat": "x" * 600}
    assert (await verifier.verify(signed(header, json.dumps(CLAIMS).encode()))).subject == "user-1"


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"null", b"{", b"\xff", b'{"exp": NaN}', b'{"exp": 1e999}', b"[" * 5000, b'{"sub": "\\ud800"}'],
)
async def test_claims_that_are_no_object_are_refused(verifier: TokenVerifier, payload: bytes) -> None:
    assert await refusal(verifier, signed(HEADER, payload)) == "the claims of the token are not a JSON object"


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "...", "token", "a.b.c", "\0", "\ud800", "é.é.é", "e30.e30.", "e30.e30.e30.e30.e30"),
        *(
            f"{encoded(header)}.e30.AA"
            for header in (
                None,
                1,
                "alg",
                ["alg"],
                {},
                {"alg": None},
                {"alg": ["ES256"]},
                {"alg": "ES256", "kid": 1},
            )
        ),
        f"{encoded(b'[' * 5000)}.e30.AA",
    ],
)
async def test_what_is_no_token_is_refused(verifier: TokenVerifier, text: str) -> None:
    assert await refusal(verifier, text) == "the token is not a signed JSON Web Token"


async def test_a_huge_token_is_refused_without_parsing(verifier: TokenVerifier) -> None:
    assert "longer than 16384 characters" in await refusal(verifier, token(padding="x" * MAX_TOKEN))
    assert (await verifier.verify(token(padding="x" * 8000))).subject == "user-1"


@pytest.mark.parametrize("name", [None, "", 1, ["Ana"], "a" * 256, "a\0b"])
async def test_without_a_usable_name_the_subject_names_the_user(verifier: TokenVerifier, name: Any) -> None:
    assert (await verifier.verify(token(name=name))).name == "user-1"


@pytest.mark.parametrize("tenants", [None, [], ""])
async def test_a_token_without_tenants_is_never_for_all(verifier: TokenVerifier, tenants: Any) -> None:
    with pytest.raises((Forbidden, Unauthorized), match="tenant"):
        await verifier.verify(token(tenant_id=tenants))


@pytest.mark.parametrize("role", [None, [], "", "Operator", "operator viewer", "ingest"])
async def test_a_token_without_a_known_role_is_refused(verifier: TokenVerifier, role: Any) -> None:
    with pytest.raises(Forbidden, match="no role"):
        await verifier.verify(token(role=role))


async def test_claims_and_roles_are_those_of_the_settings(sink: Sink, new_cache: NewCache) -> None:
    publish(sink, ec_key())
    verifier = verifier_of(
        new_cache(),
        JWT_ROLE_CLAIM="realm_access.roles",
        JWT_TENANTS_CLAIM="https://app.example/tenants",
        JWT_NAME_CLAIM="profile.name",
        AUTH_ROLES="platform-admin=admin:*,ops=operator,reader=viewer",
    )
    claims: dict[str, Any] = {"https://app.example/tenants": ["a", "b"], "profile": {"name": "Ana B."}}
    found = await verifier.verify(token(realm_access={"roles": ["reader", "ops"]}, **claims))
    assert (found.role, found.tenants, found.name) == (Role.OPERATOR, frozenset({"a", "b"}), "Ana B.")
    found = await verifier.verify(token(realm_access={"roles": "platform-admin"}))
    assert (found.role, found.tenants) == (Role.ADMIN, None)
    with pytest.raises(Forbidden, match="no tenants"):
        await verifier.verify(token(realm_access={"roles": ["reader"]}, tenant_id="a"))


@pytest.mark.parametrize(
    ("claims", "path", "value"),
    [
        ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"a": {"b": 1}, "a.b": 2}, "a.b", 2),
        ({"a": {"b.c": 1}}, "a.b.c", 1),
        ({"a.b": {"c": 1}}, "a.b.c", 1),
        ({"https://app.example/roles": 1}, "https://app.example/roles", 1),
        ({"a": {"b": 1}}, "a.c", None),
        ({"a": "b"}, "a.b", None),
        ({"a": ["b"]}, "a.0", None),
        ({}, "a", None),
    ],
)
def test_a_claim_is_found_by_its_path(claims: dict[str, Any], path: str, value: Any) -> None:
    assert claim_at(claims, path) == value
