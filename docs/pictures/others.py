"""Emails, text messages, incidents, webhooks and Apprise notifications as HTML."""

import html
import json
from collections.abc import Sequence
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any
from urllib.parse import parse_qs

from page import page, text

from relay.notify.requests import Mail, Notice, Request


def email(mail: Mail) -> str:
    """An email as a mail client shows it: the headers, and the HTML part."""
    sent = message_from_bytes(mail.body, policy=SMTP)
    assert isinstance(sent, EmailMessage)
    html_part = sent.get_body(("html",))
    assert html_part is not None
    inside = html_part.get_content().partition("<body")[2].partition(">")[2].rpartition("</body>")[0]
    return page(
        "email",
        f'<div class="subject">{text(sent["Subject"])}</div><div class="from"><b>{text(sent["From"])}</b></div>'
        f'<div class="to">to {text(sent["To"])}</div><div class="mail">{inside}</div>',
    )


def sms(request: Request) -> str:
    """A text message on a phone."""
    form = parse_qs(request.body.decode())
    return page(
        "sms",
        f'<div class="from">{text(form["From"][0])}</div><div class="bubble">{text(form["Body"][0])}</div>',
    )


def pagerduty(events: Sequence[dict[str, Any]]) -> str:
    """Incidents, one per event."""
    return page("pagerduty", "".join(_incident(event) for event in events))


def _incident(event: dict[str, Any]) -> str:
    payload, action = event["payload"], event["event_action"]
    state = "RESOLVED" if action == "resolve" else "TRIGGERED"
    details = payload["custom_details"]
    fields = {name: payload[name] for name in ("source", "component", "group", "class") if name in payload}
    fields["description"] = details["annotations"].get("description", "")
    fields["labels"] = ", ".join(f"{name}={value}" for name, value in details["labels"].items())
    rows = "".join(f"<tr><td>{name}</td><td>{text(value)}</td></tr>" for name, value in fields.items() if value)
    links = [f'<a href="{html.escape(link["href"])}">{text(link["text"])}</a>' for link in event["links"]]
    return (
        f'<div class="incident {action}"><span class="state">{state} · {text(payload["severity"])}</span>'
        f'<div class="title">{text(payload["summary"])}</div><table>{rows}</table>{" · ".join(links)}</div>'
    )


def webhook(request: Request) -> str:
    """The headers, and the body as JSON with its first alert only."""
    body = json.loads(request.body)
    alerts = [body["alerts"][0], f"… {len(body['alerts']) - 1} more"]
    shown = json.dumps(body | {"alerts": alerts}, indent=2, ensure_ascii=False)
    headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    return page("webhook", f'<pre><span class="header">{text(headers)}</span>\n\n{html.escape(shown)}</pre>')


def apprise(notice: Notice) -> str:
    """Title and text, as most services show them."""
    return page(
        "apprise",
        f'<div class="note"><div class="kind">Apprise · {text(notice.notify_type)}</div>'
        f'<div class="title">{text(notice.title)}</div><div class="text">{html.escape(notice.text)}</div></div>',
    )
