"""Alerts with texts that break messages which do not escape or cut them correctly."""

from itertools import cycle
from typing import Final

import msgspec

from relay.domain.alerts import Alert, Status
from relay.domain.notifications import Notification
from tests.notify.factories import FALLBACK, alert, notification

HOSTILE_TEXTS: Final = (
    "<!channel> @everyone @here <@U123> @somebody <at>Bob</at>",
    "<script>alert(1)</script><b>bold</b>&nbsp;&amp;",
    "**bold** _it_ `code` [link](javascript:alert(1)) # head > quote",
    "🔥👩‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "تنبيه: القرص ممتلئ\u202e",
    "“Typographic” — quotes… and ‘dashes’ – é ç ő",  # noqa: RUF001
    "磁盘已满",
    "plain words",
)


def hostile(count: int = 500, **fields: object) -> Notification:
    """A group of `count` alerts, two of three firing, with 2 KB descriptions and a label of 10,000 characters."""
    alerts = tuple(_hostile_alert(at, text) for at, text in zip(range(count), cycle(HOSTILE_TEXTS), strict=False))
    message = notification(*alerts, truncated=7, unnotified=frozenset({2}), fallback_for=FALLBACK)
    return msgspec.structs.replace(message, **fields)


def _hostile_alert(at: int, text: str) -> Alert:
    status = Status.RESOLVED if at % 3 == 2 else Status.FIRING
    annotations = {
        "summary": text,
        "description": (text + " ") * (2048 // len(text)),
        "runbook_url": f"http://x/{text}",
    }
    base = alert(f"Alert{at} {text}", status, annotations=annotations if at % 5 else {}, instance=f"db{at}")
    huge = {"huge": (text * 10_000)[:10_000]} if at % 7 == 0 else {}
    return msgspec.structs.replace(base, labels=base.labels | huge)
