"""Problem details that name the invalid field."""

from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from relay.domain.errors import InvalidInput
from relay.domain.problems import Problem


def encoded(problem: Problem) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(problem))
    return data


def test_a_problem_without_a_field_has_no_errors() -> None:
    assert encoded(Problem.of(HTTPStatus.NOT_FOUND, "no channel 'x'")) == {
        "title": "Not Found",
        "status": 404,
        "detail": "no channel 'x'",
    }


def test_a_problem_with_a_field_names_it_in_detail_and_errors() -> None:
    assert encoded(Problem.of(HTTPStatus.BAD_REQUEST, "must not be empty", "severities[0]")) == {
        "title": "Bad Request",
        "status": 400,
        "detail": "severities[0]: must not be empty",
        "errors": [{"field": "severities[0]", "message": "must not be empty"}],
    }


@pytest.mark.parametrize(("field", "text"), [("", "is wrong"), ("a.b[0]", "a.b[0]: is wrong")])
def test_an_error_is_one_line(field: str, text: str) -> None:
    error = InvalidInput(field, "is wrong")
    assert (str(error), error.field, error.message) == (text, field, "is wrong")
