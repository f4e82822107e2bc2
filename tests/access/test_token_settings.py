"""Settings of tokens and authenticating proxies."""

import pytest
from joserfc.jws import JWSRegistry

from relay.access.tokens import token_verifier
from relay.domain.errors import SettingsError
from relay.notify.transport.egress_policy import EgressPolicy
from relay.notify.transport.proxy import ProxySettings
from relay.settings import Settings, load, masked_values
from relay.settings_checks import PUBLIC_KEY_ALGORITHMS, SHARED_SECRET_ALGORITHMS

SECRET = "s3cret" * 6
URL = "https://issuer.example/keys"
EXPECTED = {"JWT_ISSUER": "issuer", "JWT_AUDIENCE": "relay"}


def loaded(**variables: str) -> Settings:
    return load({f"RELAY_{name}": value for name, value in variables.items()})


def test_the_default_algorithm_follows_the_kind_of_keys() -> None:
    assert loaded(JWT_JWKS_URL=URL, **EXPECTED).jwt_algorithms == ("RS256",)
    assert loaded(JWT_SECRET=SECRET, **EXPECTED).jwt_algorithms == ("HS256",)
    assert loaded().jwt_algorithms == ()


def test_algorithms_are_separated_by_commas() -> None:
    assert loaded(JWT_JWKS_URL=URL, JWT_ALGORITHMS="ES256, EdDSA", **EXPECTED).jwt_algorithms == ("ES256", "EdDSA")


def test_each_algorithm_of_the_library_but_none_can_be_set() -> None:
    assert {*SHARED_SECRET_ALGORITHMS, *PUBLIC_KEY_ALGORITHMS} == {*JWSRegistry.algorithms} - {"none"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"JWT_JWKS_URL": URL, "JWT_SECRET": SECRET}, "RELAY_JWT_JWKS_URL and RELAY_JWT_SECRET are both set"),
        ({"JWT_JWKS_URL": URL, "JWT_ALGORITHMS": "none"}, "RELAY_JWT_ALGORITHMS: 'none' must be one of"),
        ({"JWT_JWKS_URL": URL, "JWT_ALGORITHMS": "rs256"}, "RELAY_JWT_ALGORITHMS: 'rs256' must be one of"),
        ({"JWT_ALGORITHMS": "RS1"}, "RELAY_JWT_ALGORITHMS: 'RS1' must be one of"),
        ({"JWT_JWKS_URL": URL, "JWT_ALGORITHMS": "RS256,HS256"}, "HS256 requires RELAY_JWT_SECRET"),
        ({"JWT_SECRET": SECRET, "JWT_ALGORITHMS": "RS256"}, "RS256 requires RELAY_JWT_JWKS_URL"),
        ({"JWT_SECRET": "s3cret" * 5}, "RELAY_JWT_SECRET must have at least 32 bytes"),
        ({"JWT_SECRET": f"-----BEGIN PUBLIC KEY-----{SECRET}"}, "RELAY_JWT_SECRET must be a shared secret"),
        ({"JWT_JWKS_URL": "issuer.example/keys"}, "RELAY_JWT_JWKS_URL must be a URL"),
        ({"JWT_JWKS_URL": "https://[/keys"}, "RELAY_JWT_JWKS_URL must be a URL"),
        ({"JWT_JWKS_URL": URL, "JWT_ISSUER": ""}, "RELAY_JWT_ISSUER must be set with RELAY_JWT_JWKS_URL"),
        ({"JWT_SECRET": SECRET, "JWT_AUDIENCE": ""}, "RELAY_JWT_AUDIENCE must be set with RELAY_JWT_SECRET"),
        ({"JWT_LEEWAY": "301"}, "RELAY_JWT_LEEWAY must be between 0 and 300"),
        ({"JWT_LEEWAY": "-1"}, "RELAY_JWT_LEEWAY must be between 0 and 300"),
        ({"AUTH_ROLES": "ops"}, "RELAY_AUTH_ROLES: 'ops' must be NAME=ROLE"),
        ({"AUTH_ROLES": "ops=root"}, "RELAY_AUTH_ROLES: 'ops=root' must be NAME=ROLE"),
        ({"AUTH_ROLES": "=admin"}, "RELAY_AUTH_ROLES: '=admin' must be NAME=ROLE"),
        ({"AUTH_ROLES": "ops=admin,ops=viewer"}, "RELAY_AUTH_ROLES: 'ops' has two roles"),
        ({"AUTH_PROXIES": "proxy.internal"}, "RELAY_AUTH_PROXIES is invalid"),
    ],
)
def test_an_invalid_setting_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        loaded(**EXPECTED | variables)
    assert "s3cret" not in str(caught.value)


def test_the_secret_and_the_password_in_the_url_are_masked() -> None:
    assert "s3cret" not in "".join(masked_values(loaded(JWT_SECRET=SECRET, **EXPECTED)).values())
    with_password = loaded(JWT_JWKS_URL="https://u:s3cret@issuer.example/keys", **EXPECTED)
    assert masked_values(with_password)["RELAY_JWT_JWKS_URL"] == "https://u:********@issuer.example/keys"


def test_without_keys_there_is_no_verifier() -> None:
    assert token_verifier(loaded(**EXPECTED), EgressPolicy([]), ProxySettings(None, ())) is None


@pytest.mark.parametrize("url", ["https://10.0.0.5/keys", "http://issuer.example/keys", "https://localhost/keys"])
def test_a_key_set_at_a_private_or_plain_address_must_be_allowed(url: str) -> None:
    settings, proxies = loaded(JWT_JWKS_URL=url, **EXPECTED), ProxySettings(None, ())
    with pytest.raises(SettingsError, match=r"RELAY_JWT_JWKS_URL: .*RELAY_ALLOWED_TARGETS"):
        token_verifier(settings, EgressPolicy([]), proxies)
    allowed = EgressPolicy(["10.0.0.0/8", "issuer.example", "localhost"])
    assert token_verifier(settings, allowed, proxies) is not None
