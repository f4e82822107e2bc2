"""Which message templates are taken, and what is said of the others?"""

from typing import Any

import pytest

from relay.domain.errors import InvalidInput
from relay.domain.templates.message_templates import (
    MessageTemplate,
    parse_message_template,
    validate_message_template,
)


def made(**fields: Any) -> MessageTemplate:
    return validate_message_template(parse_message_template({"name": "Night shift", "title": "x"} | fields))


def test_the_id_is_made_from_the_name_when_left_out() -> None:
    assert made().id == "night-shift"
    assert made(id="own").id == "own"


def test_a_template_has_the_parts_that_are_given() -> None:
    assert made(alert="y").parts == {"title": "x", "alert": "y"}
    assert made(title=None, body="z").parts == {"body": "z"}


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
def test_what_makes_no_sense_is_refused_by_its_field(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        made(**fields)
    assert caught.value.field == field
