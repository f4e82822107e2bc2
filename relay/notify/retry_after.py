"""For how long does a platform's answer ask for quiet?

Seconds throughout, and never more than a day: a platform that asks for more is asked again after that.
"""

import email.utils
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

LONGEST_WAIT: Final = 24 * 3600.0
REMAINING: Final = "x-ratelimit-remaining"
RESET_AFTER: Final = "x-ratelimit-reset-after"
"""https://discord.com/developers/docs/topics/rate-limits#header-format; others write them alike."""


def retry_after_of_response(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime | None = None
) -> float | None:
    """The longest wait that a refusal asks for, in its headers or in its body; None when it asks for none."""
    waits = [retry_after(headers, now), until_reset(headers), *_in_body(json_object(body))]
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        waits.append(_number(headers.get(RESET_AFTER, "")))
    return max((wait for wait in waits if wait is not None), default=None)


def until_reset(headers: Mapping[str, str]) -> float | None:
    """The wait of an answer, a yes included, that says that no request is left until a reset."""
    remaining = _number(headers.get(REMAINING, ""))
    return _number(headers.get(RESET_AFTER, "")) or None if remaining == 0 else None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The wait by the header Retry-After: a number, or an HTTP date. None when it says nothing usable.

    Source: RFC 9110, section 10.2.3
    """
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _bounded((moment - (now or datetime.now(UTC))).total_seconds())


def json_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; empty when it is none."""
    if not body.lstrip().startswith(b"{"):
        return {}
    try:
        found: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found


def _in_body(answer: dict[str, Any]) -> Iterator[float | None]:
    """Discord says it at the root, Telegram among the parameters.

    https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit
    https://core.telegram.org/bots/api#responseparameters
    """
    parameters = answer.get("parameters")
    for holder in (answer, parameters if isinstance(parameters, dict) else {}):
        seconds = holder.get("retry_after")
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            yield _bounded(min(seconds, LONGEST_WAIT))


def _number(text: str) -> float | None:
    try:
        return _bounded(float(text))
    except ValueError:
        return None


def _bounded(seconds: float) -> float | None:
    """A wait within reason; None when it is no number."""
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else None
