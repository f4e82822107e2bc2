"""Errors as RFC 9457 problem details that name the invalid field."""

from http import HTTPStatus
from typing import Final

import msgspec

PROBLEM_TYPE: Final = "application/problem+json"


class FieldError(msgspec.Struct, frozen=True):
    """One invalid field: its path (`severities[0]`) and what is expected there."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Problem details, with the invalid fields as an extension member.

    Source: https://www.rfc-editor.org/rfc/rfc9457
    """

    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()

    @classmethod
    def of(cls, status: HTTPStatus, detail: str, field: str = "") -> "Problem":
        """Build a problem with that status; with a field, `detail` describes the error in that field."""
        if not field:
            return cls(title=status.phrase, status=status.value, detail=detail)
        errors = (FieldError(field, detail),)
        return cls(title=status.phrase, status=status.value, detail=f"{field}: {detail}", errors=errors)
