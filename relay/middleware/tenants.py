"""Whose request is it?"""

from collections.abc import Callable, Collection, MutableMapping
from typing import Any

from relay.middleware.labels import OTHER, UNKNOWN

Scope = MutableMapping[str, Any]
Tenant = Callable[[Scope], object]
"""Is given the ASGI scope when the answer is complete; nothing, or an empty text, is no tenant."""


def nobody(_: Scope) -> str:
    """The tenant of every request, where none is configured."""
    return UNKNOWN


def from_state(name: str = "tenant_id") -> Tenant:
    """The tenant that the application put into the request's state: `request.state.tenant_id = …`."""
    return lambda scope: (scope.get("state") or {}).get(name)


def from_header(name: str, known: Collection[str] | None = None) -> Tenant:
    """The tenant that a header names; with `known`, others than these become `other`.

    A client that may send the header freely can fill the cap with tenants it made up, and those that come later
    are then `other`: give `known`, or have a proxy set the header.
    """
    wanted = name.lower().encode("latin-1")

    def tenant(scope: Scope) -> str | None:
        for header, value in scope["headers"]:
            if header == wanted:
                text: str = value.decode("latin-1")
                return text if known is None or not text or text in known else OTHER
        return None

    return tenant
