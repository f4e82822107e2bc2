"""Messages for the services that the Apprise library supports.

https://github.com/caronc/apprise

Its guarantees are weaker: it reports neither why a notification failed nor when to retry, it may send a message
twice after a timeout. It makes its own connections, which relay/notify/transport/guarded_sockets.py checks.
"""

import importlib.util
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from relay.domain.alerts import Status
from relay.domain.channel_types import AppriseChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.severities import level_of
from relay.notify.notifier import Notifier
from relay.notify.requests import Notice
from relay.notify.text.content import AlertText, Content, content_of, labels_line, not_shown_line
from relay.notify.text.markup import INERT
from relay.notify.text.pagination import Pages
from relay.notify.text.plain_text import cut
from relay.notify.text.summary import SummaryLimits, summary_lines
from relay.notify.transport.apprise import NOT_INSTALLED, load_apprise, service_for
from relay.notify.transport.egress_policy import is_address

MAX_TEXT: Final = 20_000
"""Characters of a text. Our limit: Apprise has none, and no service accepts more."""
MAX_TITLE: Final = 250
MAX_LINE: Final = 1000
MAX_NOTE: Final = 600
MAX_ALERT_TITLE: Final = 300
MAX_DESCRIPTION: Final = 1000
MAX_LABELS: Final = 600
MAX_BODY: Final = 4000
MAX_RENDERED: Final = 2000
"""Characters of an alert that a template rendered."""
SEPARATOR: Final = "\n\n"
MAX_URL: Final = 4096
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
"""The relay's default: services differ, and Apprise does not report their limits."""
LOCAL_SCHEMES: Final = frozenset(
    {"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "pgp", "qt", "syslog", "vapid", "windows"}
)
"""Schemes that notify the relay's own host, or read and write its files."""
FILE_PARAMETERS: Final = frozenset({"keyfile", "pgp", "pgpprv", "pgppub", "subfile"})
"""Parameters that name files of the relay's host, or create some."""
NOTIFY_TYPES: Final = {"warning": "warning", "info": "info"}
"""https://appriseit.com/library/#notification-types; any other severity of a firing alert is a `failure`."""


class AppriseNotifier(Notifier[AppriseChannel]):
    """The services of Apprise."""

    rate_limit = RATE_LIMIT
    markup = INERT

    def urls(self, channel: AppriseChannel) -> dict[str, str]:
        """None: the relay does not make the connection."""
        return {}

    def hosts(self, channel: AppriseChannel) -> dict[str, tuple[str, bool]]:
        """The address in the URL, if any; a name there may be a token and not a host."""
        try:
            host = (urlsplit(channel.apprise_url).hostname or "").rstrip(".")
        except ValueError:
            return {}
        return {"apprise_url": (host, True)} if is_address(host) else {}

    def check(self, channel: AppriseChannel) -> None:
        """Require Apprise and a URL that it supports; reject services on the relay's own host."""
        if importlib.util.find_spec("apprise") is None:
            raise InvalidInput("channel_type", NOT_INSTALLED)
        for field in ("tls_ca", "tls_cert"):
            if getattr(channel, field) is not None:
                raise InvalidInput(field, "is not supported: Apprise opens its own connections")
        url = channel.apprise_url
        if len(url) > MAX_URL or not url.isprintable():
            raise InvalidInput("apprise_url", f"must be a URL of at most {MAX_URL} printable characters")
        if scheme_of(url) in LOCAL_SCHEMES:
            raise InvalidInput("apprise_url", "must be that of a remote service, not of this host")
        names = {name.lower() for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
        if rejected := sorted(names & FILE_PARAMETERS):
            raise InvalidInput("apprise_url", f"must not name files: {', '.join(rejected)}")
        service = service_for(url)
        if service is None:
            raise InvalidInput(
                "apprise_url", "is not a URL that Apprise supports; see https://appriseit.com/services/"
            )
        if any(_is_attachment(value) for value in vars(service).values()):
            raise InvalidInput("apprise_url", "must not name files: template")

    def request(self, channel: AppriseChannel, message: Message) -> Notice:
        """The content as plain text, which Apprise converts to the format of the service."""
        content = content_of(message)
        return Notice(
            url=channel.apprise_url,
            title=cut(_line(content.title or INERT.escape(content.headline)), MAX_TITLE),
            text=_text(content),
            notify_type="success"
            if content.status is Status.RESOLVED
            else NOTIFY_TYPES.get(level_of(content.severity), "failure"),
        )


def scheme_of(url: str) -> str:
    """The scheme of a URL, in lower case."""
    return url.partition("://")[0].strip().lower()


def _is_attachment(value: object) -> bool:
    return isinstance(value, load_apprise().AppriseAttachment) and len(value) > 0


def _text(content: Content) -> str:
    opening = [cut(INERT.escape(_line(note)), MAX_NOTE) for note in content.notes]
    if content.labels:
        opening.append(cut(INERT.escape(_line(labels_line(content.labels))), MAX_LABELS))
    if content.body is not None:
        opening.append(INERT.cut(content.body, MAX_BODY))
    size = MAX_TEXT - sum(map(_size, [*opening, *_closing(content, content.total)]))
    if content.counts:
        lines = summary_lines(content.counts, SummaryLimits(total=size, line=MAX_LINE))
        opening.append("\n".join(map(INERT.escape, lines)))
        size -= _size(opening[-1])
    pages: Pages[str] = Pages([(size,)], lambda part: (len(part) + len(SEPARATOR),))
    shown = pages.fill(map(_format_alert, content.alerts))
    return SEPARATOR.join([*opening, *pages.pages[0], *_closing(content, content.total - shown)])


def _size(part: str) -> int:
    return len(part) + len(SEPARATOR)


def _closing(content: Content, not_shown: int) -> list[str]:
    lines = [
        *([not_shown_line(not_shown)] if not_shown else []),
        *([content.truncated] if content.truncated else []),
    ]
    return [*lines, *(f"{text}: {_link(url)}" for text, url in content.closing_links(not_shown))]


def _format_alert(alert: AlertText) -> str:
    if alert.rendered:
        return INERT.cut(alert.rendered, MAX_RENDERED)
    lines = [f"{alert.mark} {cut(INERT.escape(_line(alert.title)), MAX_ALERT_TITLE) or 'alert'}"]
    if description := cut(INERT.escape(alert.description.strip()), MAX_DESCRIPTION):
        lines.append(description)
    if alert.labels:
        lines.append(cut(INERT.escape(_line(labels_line(alert.labels))), MAX_LABELS))
    lines += [alert.times, *(f"{text}: {_link(url)}" for text, url in alert.links)]
    return "\n".join(lines)


def _link(url: str) -> str:
    """The URL without an `@`, with which a part of it could be a mention; the encoded form means the same."""
    return url.replace("@", "%40")


def _line(text: str) -> str:
    return " ".join(text.split())
