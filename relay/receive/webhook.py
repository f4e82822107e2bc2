"""The webhook endpoint.

Alertmanager treats any 2xx as success, retries after a 5xx, and does not retry after other statuses.
"""

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from litestar import MediaType, Request, post
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi import ResponseSpec
from litestar.response.base import ASGIResponse

from relay.decoding.bodies import LARGE_BODY, decode_body
from relay.domain.errors import Forbidden, InvalidWebhook, Unavailable
from relay.domain.identity import Sender, stored_source
from relay.domain.principals import Access, Principal
from relay.domain.problems import PROBLEM_TYPE, Problem
from relay.domain.request_bodies import MAX_BODY
from relay.receive.backlog import WebhookResult
from relay.receive.bodies import UnsupportedEncoding, read_body
from relay.receive.key_limits import KeyLimits
from relay.receive.senders import sender_address, source_of
from relay.receive.writer import Writer
from relay.settings import Settings
from relay.telemetry import Metrics

_large: Final = asyncio.Lock()
"""Held while a large webhook is decoded and stored, because its alerts take many times the memory of its body."""
UNAVAILABLE_NOW: Final = "Nothing was stored; the same request can be retried."
_encoder: Final = msgspec.json.Encoder()
_ERROR_RESULTS: Final[dict[type[Exception], str]] = {
    RequestEntityTooLarge: "too_large",
    UnsupportedEncoding: "invalid",
    InvalidWebhook: "invalid",
    Unavailable: "unavailable",
    InternalServerException: "broken_off",  # Litestar's error when the client disconnects before its body is read
}


# The body is decoded and the response is encoded here, and the services are read from the state: Litestar's typed
# `data` argument, response and dependencies would take longer than the decoding.
@post(
    "/webhook",
    access=Access.INGEST,
    status_code=202,
    request_max_body_size=MAX_BODY,
    tags=["webhook"],
    responses={
        202: ResponseSpec(WebhookResult, generate_examples=False),
        503: ResponseSpec(Problem, generate_examples=False, media_type=PROBLEM_TYPE, description=UNAVAILABLE_NOW),
    },
)
async def receive_webhook(request: Request[Any, Any, Any]) -> ASGIResponse:
    """Accept Alertmanager's webhook (version 4). The response is sent after the commit.

    The body may be compressed with gzip (`Content-Encoding: gzip`); its limit of 10 MiB is that of the
    decompressed body.

    After a 503 the same request can be retried; 400, 413 and 415 are permanent.

    The credential is an ingest key, an admin key or RELAY_WEBHOOK_TOKEN, as a bearer token or as the password of
    basic authentication. On loopback it may be omitted, unless RELAY_WEBHOOK_TOKEN is set. An ingest key may give
    all alerts its tenant, and replace the source.

    `?source=NAME` names the Alertmanager cluster; the peers of a cluster share it. `?sender=NAME` names the
    Alertmanager process where the client's address changes or is shared.
    """
    state = request.state
    writer: Writer = state.writer
    settings: Settings = state.settings
    metrics: Metrics = state.metrics
    try:
        principal: Principal = request.scope["user"]
        limits: KeyLimits = state.key_limits
        limits.require_room(principal)
        source = stored_source(
            principal.source or source_of(request.query_params.get("source", "")), _forced_tenant(principal)
        )
        sender_name = request.query_params.get("sender", "")
        body = await read_body(request)
        limits.count_size(principal, len(body))
        address = sender_address(
            sender_name,
            "" if request.client is None else request.client.host,
            request.headers.getall("x-forwarded-for", []) if settings.trusted_networks else [],
            settings.trusted_networks,
        )
        async with nullcontext() if len(body) <= LARGE_BODY else _large:
            decoded = await decode_body(body, datetime.now(UTC))
            group = decoded.group
            result = await writer.submit(body, group, Sender(group.external_url, address), source, decoded.hashes)
    except Forbidden:  # counted as unauthorized
        raise
    except Exception as error:  # counted and raised again
        metrics.webhooks.labels(_result_of(error)).inc()
        raise
    return ASGIResponse(body=_encoder.encode(result), status_code=202, media_type=MediaType.JSON)


def _result_of(error: Exception) -> str:
    return next(
        (result for error_type, result in _ERROR_RESULTS.items() if isinstance(error, error_type)), "failed"
    )


def _forced_tenant(principal: Principal) -> str | None:
    """The tenant of all alerts that a principal posts; None for that of their labels."""
    if principal.tenants is None:
        return None
    if len(principal.tenants) != 1:
        raise Forbidden("a webhook needs a key with one tenant, or with all; create an ingest key")
    return next(iter(principal.tenants))
