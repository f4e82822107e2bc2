"""The text of an SMS: at most two segments with the counts, the severity and the names.

It uses the GSM alphabet if the message can be transliterated to it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from relay.domain.notifications import Digest, Message, Notification
from relay.domain.severities import severity_rank
from relay.notify.platforms.gsm7 import GSM_SEGMENT, UCS2_SEGMENT, cut, is_gsm, sms_size, transliterate
from relay.notify.text.annotations import annotation_texts
from relay.notify.text.content import Content, content_of
from relay.notify.text.links import Links, alert_links, group_links

SEGMENTS: Final = 2
MAX_GSM: Final = SEGMENTS * GSM_SEGMENT
MAX_UCS2: Final = SEGMENTS * UCS2_SEGMENT
"""Twilio's limit is 1600 characters, and it recommends at most 320, which would be a third segment.

https://www.twilio.com/docs/api/errors/21617
"""
MAX_READ: Final = 400
"""Characters of each text that are read."""
MAX_NOTE: Final = 60
MAX_TITLE: Final = 100
MAX_BODY: Final = 130
MAX_ALERT: Final = 130
"""Size of what a template rendered, so that some space remains for the rest."""
MAX_NAME: Final = 40
MAX_SEVERITY: Final = 20
MAX_NAMES: Final = 12
NO_NAME: Final = "no name"
MIN_SUMMARY: Final = 15
"""A shorter part of a summary would be of no use."""


def text_of(message: Message) -> str:
    """The message in two segments: counts, severity, names, and what else fits."""
    content = content_of(message)
    title, body, severity = _line(content.title), _line(content.body or ""), _line(content.severity)
    severity = severity[: MAX_SEVERITY + 1]
    rendered = [_line(alert.rendered or alert.title) for alert in content.alerts if content.alerts[0].rendered]
    names = _names(message)
    first_names = [(_line(name)[: MAX_NAME + 1], number) for name, number in names[:MAX_NAMES]]
    notes = _notes(message, content)
    summary = "" if rendered else _summary(message)
    alerts = rendered[:MAX_NAMES] if rendered else [name for name, _ in first_names]
    gsm = all(is_gsm(transliterate(part)) for part in (title, body, *alerts, *notes, summary, severity))

    def encode(text: str) -> str:
        return " ".join(transliterate(text).split()) if gsm else text

    # A text may be empty when it is encoded, such as one of emoji only.
    sms = _Sms(MAX_GSM if gsm else MAX_UCS2, gsm)
    sms.text = cut(encode(title), MAX_TITLE) or (
        f"{_counts(message)} {cut(encode(severity), MAX_SEVERITY)}".rstrip()
    )
    for note in notes:
        sms.add(f" ({cut(encode(note), MAX_NOTE)})")
    # Space is reserved for the links to the whole message before names are listed.
    whole_message = content.links if isinstance(message, Digest) else content.history
    link = "".join(f" {url}" for _, url in whole_message) if content.total > 1 else ""
    reserved = sms.size(link) if sms.size(link) <= sms.left else 0
    sms.limit -= reserved
    if body := cut(encode(body), MAX_BODY):
        sms.add(f"\n{body}")
    if rendered:
        texts = [cut(encode(alert), MAX_ALERT) or "alert" for alert in alerts]
        sms.add_list("\n", texts, content.total, "\n")
    else:
        texts = [(cut(encode(name), MAX_NAME) or NO_NAME) + number for name, number in first_names]
        sms.add_list(": ", texts, len(names))
    if (summary := encode(summary)[:MAX_GSM]) and sms.left >= MIN_SUMMARY:
        sms.add(" - " + cut(summary, sms.left - len(" - ")))
    sms.limit += reserved
    others = content.links if isinstance(message, Digest) else _links(message, sms.left - len(" "))
    for part in [link] if reserved else [f" {url}" for _, url in others[:1]]:
        sms.add(part)
    return sms.text


class _Sms:
    """A text of limited size; parts that do not fit are omitted."""

    def __init__(self, limit: int, gsm: bool) -> None:
        self.limit, self._gsm = limit, gsm
        self.text = ""

    @property
    def left(self) -> int:
        return self.limit - self.size(self.text)

    def size(self, text: str) -> int:
        return sms_size(text) if self._gsm else len(text.encode("utf-16-le", "surrogatepass")) // 2

    def add(self, part: str) -> None:
        if self.size(part) <= self.left:
            self.text += part

    def add_list(self, prefix: str, items: Sequence[str], total: int, separator: str = ", ") -> None:
        """Add as many of the items as fit, and the number of the others of `total`."""
        for index, item in enumerate(items):
            if self.size(prefix + item + _more(total - index - 1)) > self.left:
                self.add(_more(total - index) if index else "")
                return
            self.add(prefix + item)
            prefix = separator
        self.add(_more(total - len(items)))


def _more(count: int) -> str:
    return f" and {count} more" if count else ""


def _counts(message: Message) -> str:
    if isinstance(message, Digest):
        counts = (message.firing, message.resolved)
    else:
        counts = (len(message.firing), len(message.resolved))
    named = zip(("FIRING", "RESOLVED"), counts, strict=True)
    tally = ", ".join(f"{status}:{count}" for status, count in named if count)
    return f"DIGEST of {message.groups} groups, {tally}" if isinstance(message, Digest) else tally


def _names(message: Message) -> list[tuple[str, str]]:
    """The alert names, by severity and frequency, each with its number."""
    if isinstance(message, Digest):
        counted = [
            (count.alertname, count.firing or count.resolved)
            for count in message.counts
            if count.firing or not message.firing
        ]
    else:
        alerts = message.firing or message.alerts
        counts = Counter(alert.shown_name for alert in alerts)
        ranks: dict[str, int] = {}
        for alert in alerts:
            name = alert.shown_name
            ranks[name] = min(severity_rank(alert.severity), ranks.get(name, 99))
        counted = sorted(counts.items(), key=lambda count: (ranks[count[0]], -count[1], count[0]))
    return [(name or NO_NAME, f" x{count}" if count > 1 else "") for name, count in counted]


def _notes(message: Message, content: Content) -> list[str]:
    notes = []
    if message.fallback_for is not None:
        notes.append(f"for {message.fallback_for.channel_id}: {_line(message.fallback_for.reason)}")
    if isinstance(message, Digest):
        return notes
    if message.group.truncated:
        notes.append(f"{message.group.truncated} more left out by Alertmanager")
    if unnotified := sum(not message.alerts[position].firing for position in message.unnotified):
        notes.append(f"{unnotified} fired without notice")
    return notes


def _links(message: Notification, limit: int) -> Links:
    """The links to the group, or in Grafana those of the only alert."""
    first, *others = message.alerts
    return group_links(message.group, limit) if first.grafana is None or others else alert_links(first)


def _summary(message: Message) -> str:
    """The summary of a message's only alert, or else its text, unless it equals the name."""
    if isinstance(message, Digest) or len(message.alerts) != 1:
        return ""
    texts = annotation_texts(message.alerts[0].annotations)
    summary = _line(texts.summary or texts.text)
    return summary if summary != message.alerts[0].shown_name else ""


def _line(text: str) -> str:
    return " ".join(text[:MAX_READ].split())
