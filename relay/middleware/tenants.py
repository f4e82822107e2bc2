"""The tenant of a request."""

from collections.abc import Callable, Collection, MutableMapping
from typing import Any

from relay.middleware.labels import OTHER, UNKNOWN

Scope = MutableMapping[str, Any]
Tenant = Callable[[Scope], object]
"""Takes the ASGI scope when the response is complete; None or an empty string means no tenant."""


def no_tenant(_: Scope) -> str:
    """Return the tenant for all requests if none is configured."""
    return UNKNOWN


def from_state(name: str = "tenant_id") -> Tenant:
    """Read the tenant from the request's state: `request.state.tenant_id = …`."""
    return lambda scope: (scope.get("state") or {}).get(name)


def from_header(name: str, known: Collection[str] | None = None) -> Tenant:
    """Read the tenant from a header; with `known`, all other values become `other`.

    A client that can set the header can exhaust the limit with invented tenants; real tenants are then `other`. To
    prevent this, pass `known`, or let a proxy set the header.
    """
    key = name.lower().encode("latin-1")

    def tenant(scope: Scope) -> str | None:
        for header, value in scope["headers"]:
            if header == key:
                text: str = value.decode("latin-1")
                return text if known is None or not text or text in known else OTHER
        return None

    return tenant
