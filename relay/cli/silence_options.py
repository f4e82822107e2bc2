"""Options and matchers of the commands of silences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from cyclopts import Parameter

from relay.domain.durations import parse_duration
from relay.domain.errors import InvalidInput
from relay.domain.matchers import Matcher, Op

DEFAULT_FOR: Final = "1h"
"""As of amtool."""
MAX_FOR: Final = timedelta(days=3_660)
_operator = re.compile(r"[=!]")


@Parameter(name="*")
@dataclass(frozen=True)
class SilenceOptions:
    """The fields of a silence but its matchers."""

    lasting: Annotated[
        str | None, Parameter(name=("--for", "-d"), help="How long it lasts, such as 2h or 1d12h; by default 1h.")
    ] = None
    comment: Annotated[str | None, Parameter(name=("--comment", "-c"), help="Why.")] = None
    author: Annotated[
        str | None, Parameter(name=("--author", "-a"), help="Who creates it; by default the owner of the key.")
    ] = None
    start: Annotated[str | None, Parameter(help="When it starts, such as 2027-01-31T22:00:00Z.")] = None
    end: Annotated[str | None, Parameter(help="When it ends.")] = None
    tenant: Annotated[str | None, Parameter(help="Only for channels of this tenant.")] = None
    channel: Annotated[list[str] | None, Parameter(help="Only for this channel; repeatable.")] = None
    rrule: Annotated[
        str | None,
        Parameter(help="When it recurs, as RFC 5545 has it, such as FREQ=WEEKLY;BYDAY=SU; from --start on."),
    ] = None
    duration: Annotated[str | None, Parameter(help="How long each occurrence lasts.")] = None
    time_zone: Annotated[str | None, Parameter(help="The zone of its times of day, such as Europe/Vienna.")] = None
    send_resolved: Annotated[
        bool | None, Parameter(help="Whether a channel that got the firing of an alert gets its end.")
    ] = None
    expire_when_resolved: Annotated[
        bool | None, Parameter(help="End it when all alerts that it matched are resolved.")
    ] = None
    expires_if_unmatched_for: Annotated[
        str | None, Parameter(help="End it when nothing matched for this long.")
    ] = None
    remind_before: Annotated[
        str | None, Parameter(help="Send a message so long before it ends, if it still matches a firing alert.")
    ] = None
    remind_channel: Annotated[str | None, Parameter(help="The channel of that message.")] = None


_FIELDS: Final = {
    "author": "created_by",
    "start": "starts_at",
    "tenant": "tenant_id",
    "channel": "channels",
    "remind_channel": "remind_channel_id",
}
_SAME: Final = (
    *("comment", "rrule", "duration", "time_zone", "send_resolved", "expire_when_resolved"),
    *("expires_if_unmatched_for", "remind_before"),
)


def fields_of(options: SilenceOptions, *, is_new: bool = False) -> dict[str, Any]:
    """The fields of a request. A new silence ends after an hour, unless an option says otherwise.

    Raises:
        InvalidInput: the options contradict each other, or a time is malformed.
    """
    if options.lasting is not None and options.end is not None:
        raise InvalidInput("--for", "can't be combined with --end")
    fields = {field: getattr(options, name) for name, field in (_FIELDS | {name: name for name in _SAME}).items()}
    lasting = options.lasting
    if is_new and lasting is None and options.end is None and options.rrule is None:
        lasting = DEFAULT_FOR
    if lasting is not None:
        start = datetime.now(UTC) if options.start is None else _time("--start", options.start)
        fields["ends_at"] = (start + parse_duration("--for", lasting, MAX_FOR)).isoformat()
    elif options.end is not None:
        fields["ends_at"] = options.end
    return {name: value for name, value in fields.items() if value is not None}


def matchers_of(texts: Sequence[str]) -> list[Any]:
    """The matchers of a request. A first one without an operator is the value of alertname, as for amtool."""
    first, *others = texts
    if _operator.search(first):
        return [first, *others]
    return [{"name": "alertname", "value": first}, *others]


def written(matcher: Any) -> str:
    """A matcher of a request or a response as text."""
    if isinstance(matcher, str):
        return matcher
    operators = (Op.EQUAL, Op.MATCHES) if matcher.get("isEqual", True) else (Op.NOT_EQUAL, Op.NOT_MATCHES)
    return str(Matcher(matcher["name"], operators[bool(matcher.get("isRegex"))], matcher["value"]))


def _time(option: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(option, "must be a time such as 2027-01-31T22:00:00Z") from None
