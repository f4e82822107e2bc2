"""The wait that a platform's response requests.

In seconds, and at most a day: after that the platform is tried again.
"""

import email.utils
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from relay.notify.requests import Response

MAX_WAIT: Final = 24 * 3600.0
REMAINING: Final = "x-ratelimit-remaining"
RESET_AFTER: Final = "x-ratelimit-reset-after"
"""https://discord.com/developers/docs/topics/rate-limits#header-format; other platforms use the same names."""


def retry_after(response: Response) -> float | None:
    """The longest wait in a failed response's headers and body; None if there is none."""
    headers = response.headers
    waits = [_retry_after_header(headers), until_reset(headers), *_waits_in_body(response)]
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        waits.append(_number(headers.get(RESET_AFTER, "")))
    return max((wait for wait in waits if wait is not None), default=None)


def until_reset(headers: Mapping[str, str]) -> float | None:
    """The wait until the rate limit resets, if no request is left until then. Successful responses have it too."""
    remaining = _number(headers.get(REMAINING, ""))
    return _number(headers.get(RESET_AFTER, "")) or None if remaining == 0 else None


def _retry_after_header(headers: Mapping[str, str]) -> float | None:
    """The header Retry-After, a number or an HTTP date; None if it is missing or malformed.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return _bounded((date - datetime.now(UTC)).total_seconds())


def _waits_in_body(response: Response) -> Iterator[float | None]:
    """The field `retry_after`: Discord has it at the root, Telegram in `parameters`.

    https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit
    https://core.telegram.org/bots/api#responseparameters
    """
    root = response.json_object()
    parameters = root.get("parameters")
    for fields in (root, parameters if isinstance(parameters, dict) else {}):
        seconds = fields.get("retry_after")
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            yield _bounded(min(seconds, MAX_WAIT))


def _number(text: str) -> float | None:
    try:
        return _bounded(float(text))
    except ValueError:
        return None


def _bounded(seconds: float) -> float | None:
    """Seconds between 0 and the maximum; None for infinity and NaN."""
    return min(max(seconds, 0.0), MAX_WAIT) if math.isfinite(seconds) else None
