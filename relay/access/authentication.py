"""The authentication of requests: a middleware puts a principal on the connection, and one guard admits it."""

import hmac
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import structlog
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from relay.access.credentials import HINT, credential_of
from relay.access.key_reader import KeyReader
from relay.access.proxy import principal_of_proxy
from relay.access.throttle import Throttle
from relay.domain.client_address import client_address
from relay.domain.errors import Forbidden, Unauthorized, UnknownCredential
from relay.domain.grants import parse_grants
from relay.domain.principals import Access, Author, Principal, Role, tenants_of
from relay.settings import Settings
from relay.store.configuration.api_keys import KEY_PREFIX, FoundKey

ACCESS: Final = "access"
"""The option of a route with what it requires."""
ADMIN_KEY: Final = Principal(
    kind="key", issuer="settings", subject="admin", name="RELAY_ADMIN_KEY", role=Role.ADMIN, method="admin key"
)
WEBHOOK_TOKEN: Final = Principal(
    kind="key",
    issuer="settings",
    subject="webhook",
    name="RELAY_WEBHOOK_TOKEN",
    role=Role.INGEST,
    method="webhook token",
)
ANYONE: Final = Principal(
    kind="anonymous", issuer="relay", subject="webhook", name="anyone", role=Role.INGEST, method="none"
)
"""Who posts to an open webhook without a credential."""

Connection = ASGIConnection[Any, Any, Any, Any]


class Tokens(Protocol):
    """The verifier of tokens of the main application."""

    async def verify(self, token: str) -> Principal:
        """Return the principal of a token, or raise Unauthorized or Forbidden."""


class Authenticator:
    """Finds the principal of a request."""

    def __init__(self, settings: Settings, keys: KeyReader, tokens: Tokens | None) -> None:
        """`tokens` None: no tokens are accepted."""
        self._settings = settings
        self._keys = keys
        self._tokens = tokens
        self._throttle = Throttle()
        self._proxies = settings.auth_networks
        self._grants = parse_grants(settings.auth_roles)
        self._is_open = settings.webhook_is_open
        self._fixed = [
            (secret.encode(), principal)
            for secret, principal in ((settings.admin_key, ADMIN_KEY), (settings.webhook_token, WEBHOOK_TOKEN))
            if secret is not None
        ]

    async def principal(self, scope: Scope, access: Access) -> Principal:
        """Return who makes a request. A credential that is sent is checked, also where none is required.

        Raises:
            Unauthorized: the credential is missing, unknown, expired or revoked.
            TooManyRequests: so were many before.
            Forbidden: a token names no role or tenant.
        """
        headers = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        credential = ""
        try:
            if len(headers) > 1:
                raise Unauthorized("send one Authorization header")
            given = credential_of(headers[0] if headers else "", basic=access is Access.INGEST)
            if given is not None:
                credential = given
                return await self._verify(given)
        except UnknownCredential:
            self._throttle.failed(address_of(ASGIConnection(scope), self._settings), credential)
            raise
        if self._proxies and (principal := self._principal_of_proxy(scope)) is not None:
            return principal
        if access is Access.INGEST and self._is_open:
            return ANYONE
        raise Unauthorized(HINT)

    def _principal_of_proxy(self, scope: Scope) -> Principal | None:
        peer = None if scope["client"] is None else scope["client"][0]
        return principal_of_proxy(scope["headers"], peer, self._proxies, self._grants)

    async def _verify(self, credential: str) -> Principal:
        given = credential.encode(errors="replace")
        found = [principal for secret, principal in self._fixed if hmac.compare_digest(secret, given)]
        if found:
            return found[0]
        if self._tokens is not None and not credential.startswith(KEY_PREFIX):
            return await self._tokens.verify(credential)
        key = await self._keys.find(credential) if credential.startswith(KEY_PREFIX) else None
        if key is None:
            raise UnknownCredential("the API key is unknown")
        if key.revoked:
            raise Unauthorized("the API key is revoked")
        if key.expired:
            raise Unauthorized("the API key has expired")
        return _principal_of(key)


def authentication(app: ASGIApp) -> ASGIApp:
    """Middleware that puts the principal of a request on the connection, as its `user`, and guards the route.

    The framework's own classes for middleware would take longer than the authentication of a webhook.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        access = scope["route_handler"].opt[ACCESS]
        if access is not Access.PUBLIC:
            authenticator: Authenticator = scope["state"]["authenticator"]
            principal = await authenticator.principal(scope, access)
            require_access(principal, access)
            scope["user"] = principal
        await app(scope, receive, send)

    return handle


def require_access(principal: Principal, access: Access) -> None:
    """The guard of all routes: the principal has a role that the route requires.

    The framework's guards are not used, because it copies the route for each call of one.

    Raises:
        Forbidden: states the role.
    """
    if not principal.may(access):
        raise Forbidden(f"the role {principal.role} of {principal.name!r} does not allow this request")


def access_of(handler: BaseRouteHandler) -> Access:
    """What a route requires, as its options declare it."""
    access: Access = handler.opt[ACCESS]
    return access


def require_declarations(routes: Iterable[BaseRoute]) -> None:
    """Verify that every route declares what it requires. OPTIONS requires a principal unless the others do not.

    Raises:
        TypeError: names a route that does not.
    """
    for route in routes:
        if not isinstance(route, HTTPRoute):
            raise TypeError(f"the route {route.path} is not one of HTTP, which alone is authenticated")
        handlers: Sequence[HTTPRouteHandler] = list(route.route_handlers)
        declared = [handler for handler in handlers if ACCESS in handler.opt]
        for handler in handlers:
            if handler in declared:
                handler.opt[ACCESS] = Access(handler.opt[ACCESS])
            elif handler.http_methods == {"OPTIONS"}:
                public = all(access_of(other) is Access.PUBLIC for other in declared)
                handler.opt[ACCESS] = Access.PUBLIC if public else Access.SELF
            else:
                raise TypeError(f"the route {route.path} does not declare what it requires (access=…)")


def principal_of(request: Request[Any, Any, Any]) -> Principal:
    """Dependency: the principal of a request."""
    principal: Principal = request.scope["user"]
    return principal


def author_of(request: Request[Any, Any, Any]) -> Author:
    """Dependency: the principal of a request, as the author of a change."""
    principal = principal_of(request)
    return Author(
        identity=principal.identity,
        name=principal.name,
        method=principal.method,
        address=address_of(request, request.state.settings) or None,
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
    )


def address_of(connection: Connection, settings: Settings) -> str:
    """The address of the client, behind proxies that are trusted to state it."""
    client = "" if connection.client is None else connection.client.host
    networks = settings.trusted_networks
    forwarded = connection.headers.getall("x-forwarded-for", []) if networks else []
    return client_address(client, forwarded, networks)


def _principal_of(key: FoundKey) -> Principal:
    return Principal(
        kind="key",
        issuer="relay",
        subject=key.id,
        name=key.name,
        role=key.role,
        tenants=tenants_of(key.tenants),
        source=key.source,
        method="key",
    )
