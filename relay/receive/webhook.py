"""What does Alertmanager get as an answer?

Alertmanager takes any 2xx for done, tries 5xx again, and never tries anything else again.
"""

import hmac
from typing import Any, Final

from litestar import Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException, NotAuthorizedException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from relay.domain.alertmanager import decode_webhook
from relay.domain.errors import InvalidWebhook, Unavailable
from relay.receive.writer import WebhookResult, Writer
from relay.settings import Settings
from relay.telemetry import Metrics

MAX_BODY: Final = 10 * 1024 * 1024

_REFUSALS: Final[dict[type[Exception], str]] = {
    NotAuthorizedException: "unauthorized",
    RequestEntityTooLarge: "too_large",
    InvalidWebhook: "invalid",
    Unavailable: "unavailable",
    InternalServerException: "broken_off",  # what the framework says when the sender goes before its body is read
}


# The body is read and decoded here, not by the framework: as a typed `data` argument it costs several times more.
@post("/webhook", status_code=202, request_max_body_size=MAX_BODY, tags=["webhook"])
async def receive_webhook(
    request: Request[Any, Any, State],
    writer: NamedDependency[Writer],
    settings: NamedDependency[Settings],
    metrics: NamedDependency[Metrics],
) -> WebhookResult:
    """Take Alertmanager's webhook (version 4). The answer comes after the commit.

    503 asks for the same again later; 400 and 413 would only happen again. With RELAY_WEBHOOK_TOKEN set, the
    request must carry it as a bearer token.
    """
    try:
        _authorize(request.headers.get("authorization", ""), settings.webhook_token)
        body = await request.body()
        return await writer.submit(body, decode_webhook(body))
    except Exception as error:  # whatever it is, it is counted on its way to the answer
        metrics.webhooks.labels(_result_of(error)).inc()
        raise


def _result_of(error: Exception) -> str:
    return next((result for kind, result in _REFUSALS.items() if isinstance(error, kind)), "failed")


def _authorize(given: str, token: str | None) -> None:
    if token is not None and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise NotAuthorizedException("the bearer token is missing or wrong (RELAY_WEBHOOK_TOKEN)")
