"""Validation of channel templates: invalid templates and stored secrets are rejected with the field."""

from typing import Any

import pytest

from relay.domain.errors import InvalidInput
from relay.domain.templates.channel_templates import parse_channel_template
from relay.domain.templates.checks import validate_channel_template

SLACK: dict[str, Any] = {"channel_type": "slack", "name": "A", "webhook_url": {"$": "url"}}
URL: dict[str, Any] = {"name": "url"}


def hook(**more: Any) -> dict[str, Any]:
    return {"channel_type": "webhook", "name": "A", "webhook_url": {"$": "url"}} | more


def template(*channels: dict[str, Any], parameters: Any = (), **more: Any) -> dict[str, Any]:
    """A template of these channels, with a parameter for the URL and these parameters."""
    return {"name": "Mine", "parameters": [URL, *parameters], "channels": list(channels or (SLACK,))} | more


def test_the_id_and_the_parameter_types_are_derived() -> None:
    names = ("name", "limit", "headers", "resolved", "levels", "one")
    found = validate_channel_template(
        parse_channel_template(
            template(
                hook(
                    name={"$": "name"},
                    rate_limit={"$": "limit"},
                    custom_headers={"$": "headers"},
                    send_resolved={"$": "resolved"},
                    severities={"$": "levels"},
                    alert_names=["Down", {"$": "one"}],
                ),
                parameters=[{"name": name} for name in names],
                builtin=True,
            )
        )
    )

    assert (found.id, found.builtin) == ("mine", False)
    assert {parameter.name: parameter.type for parameter in found.parameters} == {
        "url": "string",
        "name": "string",
        "limit": "object",
        "headers": "object",
        "resolved": "boolean",
        "levels": "list",
        "one": "string",
    }
    assert [parameter.name for parameter in found.parameters if parameter.secret] == ["url", "headers"]
    assert validate_channel_template(found) == found


def test_a_secret_in_a_template_is_rejected() -> None:
    for body, field in (
        (SLACK | {"webhook_url": "https://hooks.example.com/s3cret"}, "channels[0].webhook_url"),
        (SLACK | {"webhook_url": "********"}, "channels[0].webhook_url"),
        (hook(custom_headers={"A": "s3cret"}), "channels[0].custom_headers.A"),
        (hook(custom_headers={"A": {"$": "url"}, "B": "s3cret"}), "channels[0].custom_headers.B"),
        (hook(custom_headers="s3cret"), "channels[0].custom_headers"),
        (hook(custom_headers=["s3cret"]), "channels[0].custom_headers[0]"),
    ):
        with pytest.raises(InvalidInput) as caught:
            validate_channel_template(parse_channel_template(template(body)))
        assert caught.value.field == field
        assert "secrets are not stored in a template" in caught.value.message
        assert "s3cret" not in str(caught.value)
    with pytest.raises(InvalidInput, match="secrets are not stored") as caught:
        validate_channel_template(
            parse_channel_template(template() | {"parameters": [URL | {"required": False, "default": "s3cret"}]})
        )
    assert caught.value.field == "parameters[0].default"


def test_a_secret_field_may_be_empty() -> None:
    for body in (hook(), hook(custom_headers={})):
        assert validate_channel_template(parse_channel_template(template(body))).channels == [body]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    (template(name=" "), "name", "empty"),
    (template(name="n" * 201), "name", "200"),
    (template(name="!"), "id", "provide an id"),
    (template(id="A"), "id", "a-z"),
    (template(description="d" * 2001), "description", "2000"),
    (template(description="\0"), "description", "U+0000"),
    (template(channels=[]), "channels", "1 to 10"),
    (template(*[SLACK] * 11), "channels", "1 to 10"),
    (template(parameters=[{"name": f"p{at}"} for at in range(50)]), "parameters", "50"),
    (template(parameters=[URL]), "parameters[1].name", "duplicate"),
    (template(parameters=[{"name": "B"}]), "parameters[1].name", "a-z"),
    (template(parameters=[{"name": "unused"}]), "parameters[1].name", "is not used"),
    (template(SLACK | {"slack_channel": {"$": "b"}}), "channels[0].slack_channel", "'b' is not a parameter"),
    (template({"name": "A"}), "channels[0].channel_type", "one of slack, "),
    (template(SLACK | {"channel_type": {"$": "url"}}), "channels[0].channel_type", "unknown"),
    (template({"channel_type": "teams", "name": "A"}), "channels[0].webhook_url", "missing"),
    (template(SLACK | {"color": "red"}), "channels[0].color", "not a known field"),
    (template(SLACK | {"enabled": "yes"}), "channels[0].enabled", "`bool`"),
    (template(SLACK | {"severities": ["a", 1]}), "channels[0].severities[1]", "`str`"),
    (template(SLACK | {"rate_limit": {"burst": 1}}), "channels[0].rate_limit.per_second", "missing"),
    (template(SLACK | {"matchers": ["a=b", "a"]}), "channels[0].matchers[1]", "not a matcher"),
    (template(SLACK | {"name": {"$": 5}}), "channels[0].name", "to be a placeholder"),
    (template(SLACK | {"name": {"$": "url", "x": 1}}), "channels[0].name", "to be a placeholder"),
    (template(SLACK | {"name": {"$env": "HOME"}}), "channels[0].name", "to be a placeholder"),
    (template(SLACK, SLACK | {"name": {"$channel": 0}}), "channels[1].name", "only fallback_channel_id"),
    (
        template(SLACK | {"fallback_channel_id": {"$channel": 0}}),
        "channels[0].fallback_channel_id",
        "an earlier channel",
    ),
    (
        template(SLACK | {"fallback_channel_id": {"$channel": -1}}),
        "channels[0].fallback_channel_id",
        "an earlier channel",
    ),
    (template(SLACK | {"severities": {"a": {"$": "url"}}}), "channels[0].severities", "must be a list"),
    (template(SLACK | {"slack_channel": [{"$": "url"}]}), "channels[0].slack_channel", "must be a string"),
    (template(SLACK | {"rate_limit": {"often": {"$": "url"}}}), "channels[0].rate_limit.often", "not a known"),
    (template(SLACK | {"name": {"$": "url"}}), "parameters[0].name", "channels[0].name, channels[0].webhook_url"),
    (template(hook()) | {"parameters": [URL | {"required": False}]}, "parameters[0].required", "is required"),
    (template() | {"parameters": [URL | {"type": "number"}]}, "parameters[0].type", "'string'"),
    (template() | {"parameters": [URL | {"type": "pigeon"}]}, "parameters[0].type", "pigeon"),
    (template() | {"parameters": [URL | {"color": "red"}]}, "parameters[0].color", "not a known field"),
    (
        template(SLACK | {"name": {"$": "n"}}, parameters=[{"name": "n", "secret": True}]),
        "parameters[1].secret",
        "not a secret field",
    ),
    (
        template(SLACK | {"name": {"$": "n"}}, parameters=[{"name": "n", "default": "x"}]),
        "parameters[1].default",
        "`required` must be false",
    ),
    (
        template(SLACK | {"name": {"$": "n"}}, parameters=[{"name": "n", "required": False, "default": 5}]),
        "parameters[1].default",
        "must be a string",
    ),
]


def test_a_default_may_be_of_any_type() -> None:
    limit = {"name": "limit", "required": False, "default": {"per_second": 1, "burst": 2}}
    levels = {"name": "levels", "required": False, "default": ["critical"]}
    body = hook(rate_limit={"$": "limit"}, severities={"$": "levels"})

    found = validate_channel_template(parse_channel_template(template(body, parameters=[limit, levels])))
    assert [parameter.default for parameter in found.parameters] == [None, limit["default"], levels["default"]]


@pytest.mark.parametrize(("data", "field", "fragment"), WRONG)
def test_an_invalid_template_is_rejected_with_the_field(data: dict[str, Any], field: str, fragment: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_channel_template(parse_channel_template(data))

    assert caught.value.field == field
    assert fragment in caught.value.message
