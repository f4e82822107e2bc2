"""Tokens: principals from the JSON Web Tokens of another application."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
from joserfc.errors import ClaimError, ExpiredTokenError, JoseError, MissingClaimError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key, OctKey
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, validate_compact
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from relay.access.jwks import KeySetCache, guarded_fetch
from relay.domain.errors import InvalidInput, SettingsError, Unauthorized, UnknownCredential
from relay.domain.grants import granted, parse_grants, require_name
from relay.domain.principals import Principal
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.proxy import ProxySettings
from relay.settings import Settings

MAX_TOKEN: Final = 16 * 1024
"""Characters of a token."""
NO_TOKEN: Final = "the token is not a signed JSON Web Token"  # noqa: S105 - a message
INVALID_CLAIMS: Final = {
    "iss": "the token is from another issuer",
    "aud": "the token is for another audience",
    "nbf": "the token is not valid yet",
    "iat": "the token was issued in the future",
}


class Keys(Protocol):
    """Where the keys of tokens come from."""

    async def find(self, kid: str | None, algorithm: str) -> Key:
        """The key for a token's header. Raises Unauthorized or Unavailable."""

    async def close(self) -> None:
        """Stop what runs in the background."""


class SharedSecret:
    """The secret that the application and the relay share, in place of a key set."""

    def __init__(self, secret: str) -> None:
        """Raises SettingsError if the secret is a public key."""
        try:
            self._key = OctKey.import_key(secret)
        except ValueError:
            raise SettingsError("RELAY_JWT_SECRET must be a shared secret, not a public key") from None

    async def find(self, kid: str | None, algorithm: str) -> Key:
        """The secret, whatever key the token names."""
        return self._key

    async def close(self) -> None:
        """Nothing runs in the background."""


class _Registry(JWSRegistry):
    """Accepts the configured algorithms alone, and the sizes that MAX_TOKEN permits."""

    max_header_length = MAX_TOKEN
    max_signature_length = MAX_TOKEN

    def get_alg(self, name: str) -> JWSAlgModel:
        # The library's method accepts its recommended algorithms if none is configured, and warns about EdDSA.
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


class TokenVerifier:
    """Verifies tokens. `close` it at the end."""

    def __init__(self, settings: Settings, keys: Keys, now: Callable[[], float] = time.time) -> None:
        """`now` is the clock that `exp` and `nbf` are compared with."""
        self._settings, self._keys = settings, keys
        self._grants = parse_grants(settings.auth_roles)
        # Headers that the library does not know are ignored, as the standard requires, unless they are critical.
        self._registry = _Registry(algorithms=settings.jwt_algorithms, strict_check_header=False)
        required: ClaimsOption = {"essential": True}
        expected: dict[str, ClaimsOption] = {
            claim: {"essential": True, "value": value}
            for claim, value in (("iss", settings.jwt_issuer), ("aud", settings.jwt_audience))
            if value is not None
        }
        options = {"exp": required, "sub": required, "iss": required} | expected
        self._claims = JWTClaimsRegistry(lambda: int(now()), settings.jwt_leeway, **options)

    async def verify(self, token: str) -> Principal:
        """The principal of a token.

        Raises:
            UnknownCredential: the token is malformed or forged.
            Unauthorized: the token has expired or is not for the relay. The error says which, and contains nothing
                of the token but names of claims.
            Forbidden: the token has no role or no tenant in the relay.
            Unavailable: the keys of the issuer could not be loaded yet.
        """
        try:
            signature = await self._verified(token)
        except Unauthorized as error:
            raise UnknownCredential(str(error)) from None
        return self._principal(self._checked_claims(signature.payload))

    async def _verified(self, token: str) -> CompactSignature:
        """The parts of a token whose signature is valid."""
        signature = self._parse(token)
        header = signature.headers()
        key = await self._keys.find(header.get("kid"), header["alg"])
        try:
            valid = validate_compact(signature, key, registry=self._registry)
        except (JoseError, ValueError):
            valid = False
        if not valid:
            raise Unauthorized("the signature of the token is invalid")
        return signature

    async def close(self) -> None:
        """Stop the refreshes of the keys."""
        await self._keys.close()

    def _parse(self, token: str) -> CompactSignature:
        """Decode a token and check its header. Nothing of it is verified yet."""
        if len(token) > MAX_TOKEN:
            raise Unauthorized(f"the token is longer than {MAX_TOKEN} characters")
        try:
            signature = extract_compact(token.encode(), registry=self._registry)
            header = signature.headers()
            if not isinstance(header, dict):
                raise Unauthorized(NO_TOKEN)
            if "crit" in header:
                # The only extension that the library knows is `b64`, which tokens must not use.
                # https://www.rfc-editor.org/rfc/rfc7797#section-7
                raise Unauthorized("the token has critical headers, which the relay does not support")
            self._registry.check_header(header)
        except (JoseError, ValueError, TypeError, RecursionError):
            raise Unauthorized(NO_TOKEN) from None
        if header["alg"] not in self._settings.jwt_algorithms:
            raise Unauthorized(f"the algorithm of the token is not {' or '.join(self._settings.jwt_algorithms)}")
        return signature

    def _checked_claims(self, payload: bytes) -> dict[str, Any]:
        """The claims of a verified token, if they are valid now."""
        try:
            claims = msgspec.json.decode(payload, type=dict[str, Any])
        except (ValueError, RecursionError):
            raise Unauthorized("the claims of the token are not a JSON object") from None
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise Unauthorized("the token has expired") from None
        except MissingClaimError as error:
            raise Unauthorized(f"the token lacks the claim {error.claim.replace(',', ', ')}") from None
        except ClaimError as error:
            reason = INVALID_CLAIMS.get(error.claim, f"the claim {error.claim} of the token is invalid")
            raise Unauthorized(reason) from None
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal:
        subject = require_name("the claim sub", claims["sub"])
        issuer = require_name("the claim iss", claims["iss"])
        try:
            name = require_name("the name", claim_at(claims, self._settings.jwt_name_claim))
        except Unauthorized:
            # The name is only for people: a token is not refused for it.
            name = subject
        roles = _texts(claims, self._settings.jwt_role_claim)
        tenants = _texts(claims, self._settings.jwt_tenants_claim)
        role, visible = granted(self._grants, roles, tenants)
        return Principal(
            kind="token", issuer=issuer, subject=subject, name=name, role=role, tenants=visible, method="jwt"
        )


def token_verifier(settings: Settings, policy: EgressPolicy, proxies: ProxySettings) -> TokenVerifier | None:
    """The verifier of the settings; None if they accept no tokens.

    Raises:
        SettingsError: the policy for addresses does not allow the URL of the key set.
    """
    if settings.jwt_secret is not None:
        return TokenVerifier(settings, SharedSecret(settings.jwt_secret))
    if settings.jwt_jwks_url is None:
        return None
    try:
        policy.check_url("RELAY_JWT_JWKS_URL", settings.jwt_jwks_url)
    except InvalidInput as error:
        raise SettingsError(str(error)) from None
    fetch = guarded_fetch(policy, proxies)
    return TokenVerifier(settings, KeySetCache(fetch, settings.jwt_jwks_url, settings.jwt_algorithms))


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """The claim at a path such as `realm_access.roles`; None if there is none.

    A name that itself contains dots (`https://app.example/roles`) takes precedence over a path.
    """
    if path in claims:
        return claims[path]
    for at in (at for at, character in enumerate(path) if character == "."):
        inner = claims.get(path[:at])
        if isinstance(inner, Mapping) and (found := claim_at(inner, path[at + 1 :])) is not None:
            return found
    return None


def _texts(claims: Mapping[str, Any], path: str) -> list[str]:
    """The values of a claim that contains a string or an array of strings.

    Raises:
        Unauthorized: it contains something else.
    """
    value = claim_at(claims, path)
    values = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        raise Unauthorized(f"the claim {path} of the token must be a string or an array of strings")
    return values
