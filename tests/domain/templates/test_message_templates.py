"""Validation of message templates."""

from typing import Any

import pytest

from relay.domain.errors import InvalidInput
from relay.domain.templates.message_templates import (
    MessageTemplate,
    parse_message_template,
    validate_message_template,
)


def template(**fields: Any) -> MessageTemplate:
    return validate_message_template(parse_message_template({"name": "Night shift", "title": "x"} | fields))


def test_the_id_is_derived_from_the_name() -> None:
    assert template().id == "night-shift"
    assert template(id="own").id == "own"


def test_a_template_has_the_given_parts() -> None:
    assert template(alert="y").parts == {"title": "x", "alert": "y"}
    assert template(title=None, body="z").parts == {"body": "z"}


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("", {"title": None}),
        ("name", {"name": " "}),
        ("name", {"name": "x" * 201}),
        ("id", {"id": "No Slug"}),
        ("id", {"name": "磁盘"}),
        ("title", {"title": " \n"}),
        ("body", {"body": "x" * 16_385}),
        ("alert", {"alert": 5}),
        ("alert", {"alert": "\0"}),
        ("description", {"description": "x" * 2001}),
        ("footer", {"footer": "x"}),
    ],
)
def test_an_invalid_template_is_rejected_with_the_field(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        template(**fields)
    assert caught.value.field == field
