"""The dry run of routing."""

from typing import Any

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from relay.domain.principals import Access, Principal
from relay.operations.context import OperationContext
from relay.operations.route import RouteResult, explain_routing


class RouteController(Controller):
    """Dry runs of routing."""

    path = "/route"
    tags = ("route",)

    @post(status_code=200, access=Access.READ)
    async def route(
        self,
        data: JSONBody[dict[str, Any]],
        operations: NamedDependency[OperationContext],
        principal: NamedDependency[Principal],
    ) -> RouteResult:
        """Return for each channel whether it matches an alert, and if not, the filter that stops it.

        The body is the labels of one alert, `{"labels": {…}}`, or a whole webhook body. To either may be added
        `source`, the `?source=` of the webhook; `at`, the time for which silences are evaluated, by default now;
        and `channels` and `silences`, bodies as for creating them. These are added for this request, or replace
        the ones of the same `id`; channels need no secrets. Nothing is stored or sent.
        """
        return await explain_routing(operations, data, principal)
