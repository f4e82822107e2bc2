"""Test messages."""

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from relay.domain.principals import Access, Principal
from relay.operations.context import OperationContext
from relay.operations.test import TestRequest, TestResult, send_test


class TestController(Controller):
    """Test messages bypass the outbox: the response is what the platform returned."""

    __test__ = False
    path = "/test"
    tags = ("channels",)

    @post(status_code=200, access=Access.CHANGE)
    async def send(
        self,
        data: JSONBody[TestRequest],
        operations: NamedDependency[OperationContext],
        principal: NamedDependency[Principal],
    ) -> TestResult:
        """Send one test message to a channel, enabled or not, and return the platform's response."""
        return await send_test(operations, data, principal.tenants)
