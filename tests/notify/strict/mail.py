"""A strict reader of mails."""

from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser

from tests.notify.strict.platform import check_links

MAX_LINE = 998
"""https://www.rfc-editor.org/rfc/rfc5322#section-2.1.1"""
TAGS = {"html", "body", "div", "p", "h2", "strong", "code", "br", "a"}


@dataclass
class ParsedMail:
    """A mail. `html_text` is the displayed text of the HTML, one block a line."""

    headers: EmailMessage
    text: str
    html: str
    html_text: str = ""
    links: list[str] = field(default_factory=list)


class _Page(HTMLParser):
    """Collects text and links; fails on unknown tags and attributes, and on tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name == ("href" if tag == "a" else "style")
            if name == "href":
                self.links.append(value or "")
        if tag == "br":
            self.text += "\n"
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += "\n" if tag in ("div", "p", "h2") else ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment hides text")


def parse_mail(body: bytes) -> ParsedMail:
    """Parse a mail; fail on anything that a mail program may not accept."""
    for line in body.split(b"\r\n"):
        assert len(line) <= MAX_LINE
        assert b"\n" not in line
        assert b"\r" not in line
        assert line.isascii()
    mail = message_from_bytes(body, policy=SMTP)
    for part in mail.walk():
        assert not part.defects
    for name in ("From", "To", "Subject", "Message-ID", "MIME-Version"):
        assert len(mail.get_all(name, [])) == 1
        assert not mail[name].defects, mail[name].defects
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    contents = [part.get_content().replace("\r\n", "\n") for part in (text, html)]
    parsed = ParsedMail(mail, *contents)
    page = _Page()
    page.feed(parsed.html)
    page.close()
    assert page.open == []
    parsed.html_text, parsed.links = page.text, page.links
    return parsed


def read_email(body: bytes) -> str:
    """https://www.rfc-editor.org/rfc/rfc5322, with the same alerts in text and HTML."""
    mail = parse_mail(body)
    assert len(mail.html.encode()) <= 100_000
    for mark in ("🔥 ", "✅ "):
        shown = sum(line.startswith(mark) for line in mail.text.splitlines())
        assert shown == sum(line.startswith(mark) for line in mail.html_text.splitlines())
    check_links(mail.links)
    return f"{mail.headers['Subject']}\n{mail.text}"
