"""Does a program learn from an error which field is wrong?"""

from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from relay.domain.errors import InvalidInput
from relay.domain.problems import Problem


def told(problem: Problem) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(problem))
    return told


def test_a_problem_without_a_field_is_told_plainly() -> None:
    assert told(Problem.of(HTTPStatus.NOT_FOUND, "no channel 'x'")) == {
        "title": "Not Found",
        "status": 404,
        "detail": "no channel 'x'",
    }


def test_a_problem_with_a_field_names_it_for_people_and_programs() -> None:
    assert told(Problem.of(HTTPStatus.BAD_REQUEST, "must not be empty", "severities[0]")) == {
        "title": "Bad Request",
        "status": 400,
        "detail": "severities[0]: must not be empty",
        "errors": [{"field": "severities[0]", "message": "must not be empty"}],
    }


@pytest.mark.parametrize(("field", "text"), [("", "is wrong"), ("a.b[0]", "a.b[0]: is wrong")])
def test_an_error_reads_as_one_line(field: str, text: str) -> None:
    error = InvalidInput(field, "is wrong")
    assert (str(error), error.field, error.message) == (text, field, "is wrong")
