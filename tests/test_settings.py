"""Settings from the environment, and masking of their secrets."""

import pathlib

import pytest

from relay.domain.errors import SettingsError
from relay.settings import Settings, load, masked_values

MASK = "********"


def loaded(**variables: str) -> Settings:
    return load({f"RELAY_{name}": value for name, value in variables.items()})


def shown_url(url: str) -> str:
    return masked_values(loaded(DATABASE_URL=url))["RELAY_DATABASE_URL"]


def test_an_empty_environment_is_enough() -> None:
    settings = load({})
    assert (settings.host, settings.port, settings.tenant_label) == ("127.0.0.1", 8080, "tenant_id")
    assert settings.embedded
    assert settings.data_dir.is_absolute()


def test_empty_variables_count_as_unset() -> None:
    names = [name.upper() for name in Settings.__struct_fields__]
    assert loaded(**dict.fromkeys(names, "")) == load({})


def test_each_variable_is_read() -> None:
    settings = loaded(HOST="::", PORT="9000", REPEAT_AFTER="1.5", LOG_FORMAT="json", LOG_LEVEL="debug", KEY="k")
    assert (settings.host, settings.port, settings.repeat_after) == ("::", 9000, 1.5)
    assert (settings.log_format, settings.log_level, settings.key) == ("json", "debug", "k")


@pytest.mark.parametrize("text", ["123", "null", "true", "1.0"])
def test_text_that_looks_like_another_type_stays_text(text: str) -> None:
    settings = loaded(ADMIN_KEY=text, TENANT_LABEL=text)
    assert (settings.admin_key, settings.tenant_label) == (text, text)


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_each_variable_may_be_read_from_a_file(name: str, tmp_path: pathlib.Path) -> None:
    values = {"database_url": "postgresql://u@h/d", "database_password": "p", "log_format": "json"}
    values |= {"trusted_proxies": "10.0.0.0/8", "severities": "gold=critical", "log_level": "info"}
    values |= {"jwt_jwks_url": "https://h/keys", "jwt_secret": "s" * 32, "jwt_algorithms": "RS256"}
    values |= {"webhook_open": "1"}
    values |= {"auth_roles": "ops=operator", "auth_proxies": "10.0.0.0/8"}
    text = values.get(name, "7")
    additional = {"DATABASE_URL": "postgresql://u@h/d"} if name == "database_password" else {}
    additional |= {"JWT_ISSUER": "i", "JWT_AUDIENCE": "a"} if name in ("jwt_jwks_url", "jwt_secret") else {}
    file = tmp_path / "value"
    file.write_text(f"{text}\n")
    assert loaded(**{f"{name.upper()}_FILE": str(file)}, **additional) == loaded(
        **{name.upper(): text}, **additional
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "can't be read: No such file"), (b"\n", "is empty"), (b"\xff", "is not a text file")],
)
def test_a_file_without_a_value_is_rejected(content: bytes | None, message: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match="RELAY_WEBHOOK_TOKEN_FILE: ") as caught:
        loaded(WEBHOOK_TOKEN_FILE=str(file))
    assert message in str(caught.value)


def test_a_value_in_both_variable_and_file_is_rejected() -> None:
    with pytest.raises(SettingsError, match="RELAY_KEY and RELAY_KEY_FILE are both set") as caught:
        loaded(KEY="s3cret", KEY_FILE="/dev/null")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h:5432/d?sslmode=require", "postgresql://u:p%40%3A%2F%25@h:5432/d?sslmode=require"),
        ("postgres://u@h", "postgresql://u:p%40%3A%2F%25@h"),
        ("postgresql://u@/d?host=/run/a@b", "postgresql://u:p%40%3A%2F%25@/d?host=/run/a@b"),
    ],
)
def test_a_separate_database_password_is_inserted_into_the_url(url: str, expected: str) -> None:
    settings = loaded(DATABASE_URL=url, DATABASE_PASSWORD="p@:/%")
    assert settings.database_url == expected
    assert "p@:" not in "".join(masked_values(settings).values())


@pytest.mark.parametrize("url", ["", "postgresql://h/d", "postgresql://u:other@h/d"])
def test_a_database_password_requires_a_url_with_a_user_and_no_password(url: str) -> None:
    with pytest.raises(SettingsError, match="RELAY_DATABASE_PASSWORD requires a RELAY_DATABASE_URL") as caught:
        loaded(DATABASE_URL=url, DATABASE_PASSWORD="s3cret")
    assert "s3cret" not in str(caught.value)


def test_other_variables_are_ignored() -> None:
    assert load({"PORT": "1", "RELAY_UNKNOWN": "1", "relay_port": "1"}) == load({})


def test_an_override_takes_precedence_unless_it_is_none() -> None:
    settings = load({"RELAY_PORT": "1", "RELAY_HOST": "a"}, port=2, host=None)
    assert (settings.port, settings.host) == (2, "a")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_all_schemes_of_the_database_url_are_normalized(scheme: str) -> None:
    settings = loaded(DATABASE_URL=f"{scheme}://u:p@h:5432/d?sslmode=require")
    assert settings.database_url == "postgresql://u:p@h:5432/d?sslmode=require"
    assert not settings.embedded


def test_the_data_directory_may_be_relative_or_in_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    assert loaded(DATA_DIR="~/relay").data_dir == pathlib.Path("/home/user/relay")
    assert loaded(DATA_DIR="relay").data_dir == pathlib.Path.cwd() / "relay"


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        (" 10.0.0.0/8 , hooks.example.com,, ::1/128 ", ("10.0.0.0/8", "hooks.example.com", "::1/128")),
        (" , ", ()),
    ],
)
def test_allowed_targets_are_separated_by_commas(text: str, targets: tuple[str, ...]) -> None:
    assert loaded(ALLOWED_TARGETS=text).allowed_targets == targets


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", "80.5"),
        ("PORT", "9" * 5000),
        ("DATABASE_URL", "mysql://u:s3cret@h/d"),
        ("DATABASE_URL", "s3cret"),
        ("REPEAT_AFTER", "soon"),
        ("REPEAT_AFTER", "-1"),
        ("REPEAT_AFTER", "nan"),
        ("SEND_TIMEOUT", "inf"),
        ("SHUTDOWN_TIMEOUT", "604801"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_an_error_names_the_variable_and_contains_no_secret(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"RELAY_{variable} ") as caught:
        load({f"RELAY_{variable}": value, "RELAY_ADMIN_KEY": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_an_override_is_validated_like_a_variable() -> None:
    with pytest.raises(SettingsError, match="RELAY_TENANT_LABEL must not be empty"):
        load({}, tenant_label="")
    with pytest.raises(SettingsError, match="RELAY_PORT must be between"):
        load({}, port=70_000)


def test_every_setting_is_listed_by_its_variable() -> None:
    settings = loaded(PORT="9000", ALLOWED_TARGETS="10.0.0.0/8, localhost", DATA_DIR="/data")
    values = masked_values(settings)
    assert set(values) == {f"RELAY_{name.upper()}" for name in Settings.__struct_fields__}
    assert (values["RELAY_PORT"], values["RELAY_DATA_DIR"]) == ("9000", "/data")
    assert values["RELAY_ALLOWED_TARGETS"] == "10.0.0.0/8,localhost"
    assert values["RELAY_DATABASE_URL"] == values["RELAY_ADMIN_KEY"] == ""


@pytest.mark.parametrize("variable", ["SECRET_KEY", "ADMIN_KEY", "WEBHOOK_TOKEN", "KEY"])
def test_secrets_are_masked(variable: str) -> None:
    values = masked_values(loaded(**{variable: "s3cret"}))
    assert values[f"RELAY_{variable}"] == MASK
    assert "s3cret" not in "".join(values.values())


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://u:s3cret@h:5432/d", f"postgresql://u:{MASK}@h:5432/d"),
        ("postgresql://u:s3@cret@h/d", f"postgresql://u:{MASK}@h/d"),
        ("postgresql://u:s3:cr/e?t#@h/d", f"postgresql://u:{MASK}@h/d"),
        ("postgresql://h/d?password=s3cret", f"postgresql://h/d?password={MASK}"),
        ("postgresql://h/d?user=u&password=s3cret&x=1", f"postgresql://h/d?user=u&password={MASK}&x=1"),
        ("postgresql://h/d?password=s3@cret", f"postgresql://h/d?password={MASK}"),
        ("postgresql://h/d?PASSWORD=s3cret", f"postgresql://h/d?PASSWORD={MASK}"),
        ("postgresql:///d?host=/tmp&sslpassword=s3cret", f"postgresql:///d?host=/tmp&sslpassword={MASK}"),
        ("postgresql://u:s3cret@h/d?password=s3cret", f"postgresql://u:{MASK}@h/d?password={MASK}"),
    ],
)
def test_a_password_in_the_database_url_is_masked(url: str, text: str) -> None:
    assert shown_url(url) == text
