"""How is a message told by the library Apprise, which knows many more services?

https://github.com/caronc/apprise

Its guarantees are weaker: it says neither why something failed nor when to try again, it may tell one message
twice after a time-out, and it connects by itself, so that only the address in the URL is held against
RELAY_ALLOWED_TARGETS.
"""

import asyncio
import importlib.util
import logging
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from relay.domain.alerts import Status
from relay.domain.channel_types import AppriseChannel, RateLimit
from relay.domain.errors import InvalidInput
from relay.domain.notifications import Message
from relay.domain.outcomes import Outcome, Reason, Retry, Sent
from relay.notify.base import Notice, Notifier
from relay.notify.content import AlertText, Content, content_of, cut, labels_line, left_out
from relay.notify.markup import PLAIN
from relay.notify.summary import Room, summary_lines
from relay.notify.targets import is_address

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
MAX_THREADS: Final = 16
"""Channels that are told at once. A call that outlasts its time-out keeps its thread until it ends."""
LOCAL: Final = frozenset(
    {"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "pgp", "qt", "syslog", "vapid", "windows"}
)
"""Schemes that show something on the relay's own machine, or read and write files there."""
OF_FILES: Final = frozenset({"keyfile", "pgp", "pgpprv", "pgppub", "subfile"})
"""Parameters that name files of the relay's machine, or have some made."""
KINDS: Final = {"warning": "warning", "info": "info"}
"""https://appriseit.com/library/#notification-types; any other severity that fires is a failure."""
MISSING: Final = "Apprise is not installed: pip install 'alert-relay[apprise]'"
NOT_DELIVERED: Final = "apprise could not deliver; it does not say why"


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
            raise InvalidInput("channel_type", MISSING)
        url = channel.apprise_url
        if len(url) > MAX_URL or not url.isprintable():
            raise InvalidInput("apprise_url", f"must be a URL of at most {MAX_URL} printable characters")
        if scheme_of(url) in LOCAL:
            raise InvalidInput("apprise_url", "must lead to a service elsewhere, and not to this machine")
        names = {name.lower() for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
        if refused := sorted(names & OF_FILES):
            raise InvalidInput("apprise_url", f"must not name files: {', '.join(refused)}")
        service = _service(url)
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
            kind="success" if content.status is Status.RESOLVED else KINDS.get(content.severity, "failure"),
        )


class Apprise:
    """Runs Apprise off the event loop, in threads of its own."""

    def __init__(self, timeout: float) -> None:
        """`timeout` is in seconds, for one message."""
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(MAX_THREADS, "apprise")

    async def send(self, notice: Notice) -> Outcome:
        """Let Apprise tell a notice.

        Raises:
            TimeoutError: it took too long, and may be told all the same.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._timeout):
            return await loop.run_in_executor(self._threads, _notify, notice)

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def scheme_of(url: str) -> str:
    """What stands before `://`, in lower case."""
    return url.partition("://")[0].strip().lower()


def _notify(notice: Notice) -> Outcome:
    if importlib.util.find_spec("apprise") is None:
        return Retry(Reason.OTHER, MISSING)
    try:
        service = _service(notice.url)
        if service is None:
            return Retry(Reason.CLIENT_ERROR, "Apprise does not know the URL")
        told = _library().Apprise(asset=_asset())
        told.add(service)
        done = told.notify(title=notice.title, body=notice.text, notify_type=notice.kind, body_format="text")
    except Exception as error:  # a mistake of one of its many plugins is no fault of the message
        return Retry(Reason.OTHER, f"{NOT_DELIVERED}: {type(error).__name__}")
    return Sent(detail="taken by Apprise") if done else Retry(Reason.OTHER, NOT_DELIVERED)


def _service(url: str) -> Any:
    """Apprise's own object for a URL; None when it knows none."""
    found = _library().Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)
    if found is not None and "overflow=" not in url:
        # A service that takes less gets the start, rather than nothing, or a flood of parts.
        found.overflow_mode = _library().OverflowMode.TRUNCATE
    return found


@cache
def _library() -> Any:
    """The library, which may not be there; its log is left unheard, for it may show a URL."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    import apprise

    return apprise


@cache
def _asset() -> Any:
    """How Apprise behaves: it keeps nothing on disk, and is not led elsewhere."""
    return _library().AppriseAsset(
        app_id="Alert Relay", storage_mode="memory", http_redirects=False, async_mode=False
    )


def _is_attachment(value: object) -> bool:
    return isinstance(value, _library().AppriseAttachment) and len(value) > 0


def _text(content: Content) -> str:
    """The message in lines, what comes first being the most urgent."""
    opening = [cut(_line(note), MAX_NOTE) for note in content.notes]
    if content.labels:
        opening.append(cut(_line(labels_line(content.labels)), MAX_LABELS))
    if content.body is not None:
        opening.append(PLAIN.cut(content.body, MAX_BODY))
    room = MAX_TEXT - sum(len(line) + 2 for line in [*opening, *_closing(content, content.total)])
    if content.counts:
        lines = summary_lines(content.counts, Room(total=room, line=MAX_LINE))
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
    lines = [*([left_out(left)] if left else []), *([content.truncated] if content.truncated else [])]
    return [*lines, *(f"{text}: {url}" for text, url in content.links_after(left))]


def _alert(alert: AlertText) -> str:
    if alert.rendered:
        return PLAIN.cut(alert.rendered, MAX_RENDERED)
    mark = "🔥" if alert.status is Status.FIRING else "✅"
    lines = [f"{mark} {cut(_line(alert.title), MAX_ALERT_TITLE) or 'alert'}"]
    if description := cut(alert.description.strip(), MAX_DESCRIPTION):
        lines.append(description)
    if alert.labels:
        lines.append(cut(_line(labels_line(alert.labels)), MAX_LABELS))
    lines += [alert.times, *(f"{text}: {url}" for text, url in alert.links)]
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())
