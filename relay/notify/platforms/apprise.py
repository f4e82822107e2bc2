"""Messages for the services that the Apprise library knows.

https://github.com/caronc/apprise

Its guarantees are weaker: it reports neither why a notification failed nor when to retry, it may send one message
twice after a timeout, and it connects by itself, so that only the address in the URL is checked against
RELAY_ALLOWED_TARGETS.
"""

import importlib.util
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from relay.domain.alerts import Status
from relay.domain.channel_types import AppriseChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.notify.notifier import Notifier
from relay.notify.requests import Notice
from relay.notify.text.content import AlertText, Content, content_of, cut, labels_line, not_shown_line
from relay.notify.text.markup import PLAIN
from relay.notify.text.summary import SummaryLimits, summary_lines
from relay.notify.transport.apprise import NOT_INSTALLED, load_apprise, service_for
from relay.notify.transport.egress_policy import is_address

MAX_TEXT: Final = 20_000
"""Characters; ours, for Apprise has no limit of its own, and what is longer no service takes."""
MAX_TITLE: Final = 250
MAX_LINE: Final = 1000
MAX_NOTE: Final = 600
MAX_ALERT_TITLE: Final = 300
MAX_DESCRIPTION: Final = 1000
MAX_LABELS: Final = 600
MAX_BODY: Final = 4000
MAX_RENDERED: Final = 2000
"""Of what a template made of an alert."""
MAX_URL: Final = 4096
RATE_LIMIT: Final = RateLimit(per_second=1, burst=3)
"""Ours: services differ, and Apprise does not say when one wants less."""
LOCAL: Final = frozenset(
    {"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "pgp", "qt", "syslog", "vapid", "windows"}
)
"""Schemes that show something on the relay's own machine, or read and write files there."""
OF_FILES: Final = frozenset({"keyfile", "pgp", "pgpprv", "pgppub", "subfile"})
"""Parameters that name files of the relay's machine, or have some made."""
KINDS: Final = {"warning": "warning", "info": "info"}
"""https://appriseit.com/library/#notification-types; any other severity that fires is a failure."""


class AppriseNotifier(Notifier[AppriseChannel]):
    """Whatever Apprise knows."""

    rate_limit = RATE_LIMIT

    def urls(self, channel: AppriseChannel) -> dict[str, str]:
        """None that the relay connects to itself."""
        return {}

    def hosts(self, channel: AppriseChannel) -> dict[str, tuple[str, bool]]:
        """The address in the URL, if there is one: a name may as well be a token."""
        try:
            host = (urlsplit(channel.apprise_url).hostname or "").rstrip(".")
        except ValueError:
            return {}
        return {"apprise_url": (host, True)} if is_address(host) else {}

    def check(self, channel: AppriseChannel) -> None:
        """Apprise must be there, and know the URL; what happens on the relay's own machine is refused."""
        if importlib.util.find_spec("apprise") is None:
            raise InvalidInput("channel_type", NOT_INSTALLED)
        url = channel.apprise_url
        if len(url) > MAX_URL or not url.isprintable():
            raise InvalidInput("apprise_url", f"must be a URL of at most {MAX_URL} printable characters")
        if scheme_of(url) in LOCAL:
            raise InvalidInput("apprise_url", "must lead to a service elsewhere, and not to this machine")
        names = {name.lower() for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
        if refused := sorted(names & OF_FILES):
            raise InvalidInput("apprise_url", f"must not name files: {', '.join(refused)}")
        service = service_for(url)
        if service is None:
            raise InvalidInput("apprise_url", "is no URL that Apprise knows; see https://appriseit.com/services/")
        if any(_is_attachment(value) for value in vars(service).values()):
            raise InvalidInput("apprise_url", "must not name files: template")

    def request(self, channel: AppriseChannel, message: Message) -> Notice:
        """The words as plain text, which Apprise puts in the form that the service wants."""
        content = content_of(message)
        return Notice(
            url=channel.apprise_url,
            title=cut(_line(content.title or content.headline), MAX_TITLE),
            text=_text(content),
            notify_type="success" if content.status is Status.RESOLVED else KINDS.get(content.severity, "failure"),
        )


def scheme_of(url: str) -> str:
    """What stands before `://`, in lower case."""
    return url.partition("://")[0].strip().lower()


def _is_attachment(value: object) -> bool:
    return isinstance(value, load_apprise().AppriseAttachment) and len(value) > 0


def _text(content: Content) -> str:
    """The message in lines, what comes first being the most urgent."""
    opening = [cut(_line(note), MAX_NOTE) for note in content.notes]
    if content.labels:
        opening.append(cut(_line(labels_line(content.labels)), MAX_LABELS))
    if content.body is not None:
        opening.append(PLAIN.cut(content.body, MAX_BODY))
    room = MAX_TEXT - sum(len(line) + 2 for line in [*opening, *_closing(content, content.total)])
    if content.counts:
        lines = summary_lines(content.counts, SummaryLimits(total=room, line=MAX_LINE))
        opening.append("\n".join(lines))
        room -= len(opening[-1]) + 2
    shown: list[str] = []
    for alert in content.alerts:
        text = _alert(alert)
        room -= len(text) + 2
        if room < 0:
            break
        shown.append(text)
    return "\n\n".join([*opening, *shown, *_closing(content, content.total - len(shown))])


def _closing(content: Content, left: int) -> list[str]:
    lines = [*([not_shown_line(left)] if left else []), *([content.truncated] if content.truncated else [])]
    return [*lines, *(f"{text}: {url}" for text, url in content.closing_links(left))]


def _alert(alert: AlertText) -> str:
    if alert.rendered:
        return PLAIN.cut(alert.rendered, MAX_RENDERED)
    lines = [f"{alert.mark} {cut(_line(alert.title), MAX_ALERT_TITLE) or 'alert'}"]
    if description := cut(alert.description.strip(), MAX_DESCRIPTION):
        lines.append(description)
    if alert.labels:
        lines.append(cut(_line(labels_line(alert.labels)), MAX_LABELS))
    lines += [alert.times, *(f"{text}: {url}" for text, url in alert.links)]
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())
