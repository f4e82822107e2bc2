"""`relay channels preview`: show the requests that a channel would be sent."""

import json
from collections.abc import Iterator
from email import message_from_string, policy
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from cyclopts import Parameter

from relay.cli.channel_options import ChannelId, object_in
from relay.cli.connection import connect
from relay.cli.deliveries import DeliveryId
from relay.cli.output import Output, show_item, show_lines
from relay.domain.errors import InvalidInput

File = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


async def preview(
    channel_id: ChannelId | None = None,
    /,
    *,
    file: Annotated[
        File,
        Parameter(
            help="A JSON file with an unsaved channel, or with changes to the saved one; `-` is standard input."
        ),
    ] = None,
    group: Annotated[
        File, Parameter(help="A JSON file with a webhook's body to preview; `-` is standard input.")
    ] = None,
    source: Annotated[str | None, Parameter(help="The source of the webhook in --group.")] = None,
    delivery_id: DeliveryId | None = None,
    sample: Annotated[
        Literal["firing", "resolved", "mixed", "large", "digest"] | None,
        Parameter(help="The sample to preview; by default mixed."),
    ] = None,
    output: Output = "table",
) -> None:
    """Show the requests that a channel would be sent, with secrets masked. Nothing is sent."""
    if channel_id is None and file is None:
        raise InvalidInput("", "give the id of a channel, or a channel with --file")
    body = {
        "channel_id": channel_id,
        "channel": None if file is None else object_in("--file", file),
        "group": None if group is None else object_in("--group", group),
        "source": source,
        "delivery_id": delivery_id,
        "sample": sample,
    }
    async with connect() as api:
        result = await api.post("preview", body={name: value for name, value in body.items() if value is not None})
    if output == "json":
        return show_item(result, output)
    return show_lines(_lines(result))


def _lines(result: dict[str, Any]) -> Iterator[str]:
    requests = result.get("requests", [])
    for at, request in enumerate(requests, start=1):
        if len(requests) > 1:
            yield f"--- {at} of {len(requests)}"
        yield from _request(request)
        yield ""
    yield f"alerts: {result.get('alerts')}"
    for alert in result.get("unmatched", []):
        labels = ", ".join(f"{name}={value}" for name, value in alert["labels"].items())
        yield f"not matched: {labels}: {alert['reason']}"
    yield from (f"note: {note}" for note in result.get("notes", []))


def _request(request: dict[str, Any]) -> Iterator[str]:
    yield f"{request.get('method') or request['kind'].upper()} {request['url']}"
    if request["kind"] == "mail":
        yield f"MAIL FROM: {request['sender']}"
        yield from (f"RCPT TO: {recipient}" for recipient in request["recipients"])
    yield from (f"{name}: {value}" for name, value in request.get("headers", {}).items())
    if "title" in request:
        yield f"{request['notify_type']}: {request['title']}"
    yield ""
    yield from _body(request).splitlines()


def _body(request: dict[str, Any]) -> str:
    """The body in readable form: JSON indented, forms and emails decoded."""
    body = str(request["body"])
    if request["kind"] == "mail":
        return _mail(body)
    content_type = next(
        (value for name, value in request.get("headers", {}).items() if name.lower() == "content-type"), ""
    )
    if "form-urlencoded" in content_type:
        return "\n".join(f"{name}: {value}" for name, value in parse_qsl(body, keep_blank_values=True))
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _mail(body: str) -> str:
    mail = message_from_string(body, policy=policy.default)
    text = mail.get_body(("plain",))
    headers = "\n".join(f"{name}: {value}" for name, value in mail.items())
    return body if text is None else f"{headers}\n\n{text.get_content()}"
