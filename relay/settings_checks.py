"""Checks of settings that concern several variables: who signs the tokens that the relay accepts."""

from typing import Final
from urllib.parse import urlsplit

from relay.domain.errors import SettingsError

SHARED_SECRET_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
PUBLIC_KEY_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "Ed448"),
)
"""https://www.rfc-editor.org/rfc/rfc7518#section-3.1, RFC 8037, RFC 8812 and RFC 9864"""
MIN_SECRET: Final = 32
"""Bytes, as for HS256. https://www.rfc-editor.org/rfc/rfc7518#section-3.2"""
MAX_LEEWAY: Final = 300
QUOTAS: Final = (
    *(("tenant_max_channels", 0, 1_000_000), ("tenant_max_templates", 0, 1_000_000)),
    ("tenant_max_silences", 0, 1_000_000),
    ("ingest_rate", 0.1, 1_000_000),
)
"""Settings, and their least and greatest values."""


def check_tokens(
    *,
    jwks_url: str | None,
    secret: str | None,
    algorithms: tuple[str, ...],
    issuer: str | None,
    audience: str | None,
    leeway: int,
) -> tuple[str, ...]:
    """Check the settings of tokens. Returns the accepted algorithms, none if tokens are not accepted.

    Raises:
        SettingsError: names the variable.
    """
    if not 0 <= leeway <= MAX_LEEWAY:
        raise SettingsError(f"RELAY_JWT_LEEWAY must be between 0 and {MAX_LEEWAY} seconds")
    if jwks_url is not None and secret is not None:
        raise SettingsError("RELAY_JWT_JWKS_URL and RELAY_JWT_SECRET are both set; remove one of them")
    _check_algorithms(algorithms, jwks_url is not None, secret is not None)
    if jwks_url is None and secret is None:
        return algorithms
    _check_source(jwks_url, secret)
    source = "RELAY_JWT_JWKS_URL" if secret is None else "RELAY_JWT_SECRET"
    for variable, value in (("RELAY_JWT_ISSUER", issuer), ("RELAY_JWT_AUDIENCE", audience)):
        # Without them, a token that the issuer made for another application would be accepted here.
        if value is None:
            raise SettingsError(f"{variable} must be set with {source}")
    return algorithms or (("RS256",) if secret is None else ("HS256",))


def _check_algorithms(algorithms: tuple[str, ...], public_keys: bool, shared_secret: bool) -> None:
    known = (*SHARED_SECRET_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS)
    for name in algorithms:
        if name not in known:
            raise SettingsError(f"RELAY_JWT_ALGORITHMS: {name!r} must be one of {', '.join(known)}")
        if public_keys and name in SHARED_SECRET_ALGORITHMS:
            raise SettingsError(f"RELAY_JWT_ALGORITHMS: {name} requires RELAY_JWT_SECRET, not RELAY_JWT_JWKS_URL")
        if shared_secret and name in PUBLIC_KEY_ALGORITHMS:
            raise SettingsError(f"RELAY_JWT_ALGORITHMS: {name} requires RELAY_JWT_JWKS_URL, not RELAY_JWT_SECRET")


def _check_source(jwks_url: str | None, secret: str | None) -> None:
    if jwks_url is not None:
        try:
            valid = urlsplit(jwks_url).scheme in ("https", "http") and bool(urlsplit(jwks_url).hostname)
        except ValueError:
            valid = False
        if not valid:
            raise SettingsError("RELAY_JWT_JWKS_URL must be a URL such as https://example.com/jwks.json")
    if secret is not None and len(secret.encode(errors="surrogateescape")) < MIN_SECRET:
        raise SettingsError(f"RELAY_JWT_SECRET must have at least {MIN_SECRET} bytes")
    if secret is not None and "-----BEGIN" in secret:
        raise SettingsError("RELAY_JWT_SECRET must be a shared secret; use RELAY_JWT_JWKS_URL for a public key")
