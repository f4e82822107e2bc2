"""Versions of objects in requests and responses: `ETag` and `If-Match`.

https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1
"""

import re
from typing import Annotated, Final, TypeVar

from litestar import Response
from litestar.params import HeaderParameter

T = TypeVar("T")

IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match", description="The `ETag` that the object must have, or several; otherwise 412."
    ),
]
_TAG: Final = re.compile(r'"(\d{1,9})"', re.ASCII)


def wanted_versions(if_match: str | None) -> frozenset[int] | None:
    """Return the versions that a request requires; None if it requires none.

    A weak or a foreign tag matches no version.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (_TAG.fullmatch(item.strip()) for item in if_match.split(","))
    return frozenset(int(tag[1]) for tag in tags if tag is not None)


def with_version(content: T, number: int) -> Response[T]:
    """Return a response with the version of the object that it shows."""
    return Response(content, headers={"ETag": f'"{number}"'})
