"""Commands as real processes: they print and exit as the same commands in this process do."""

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import FakeApi, Relay

URL = "http://127.0.0.1:9/hook"
EMPTY_LIST: dict[str, Any] = {"items": [], "next": None}


@pytest.mark.parametrize(
    ("arguments", "stdin", "respond"),
    [
        (["channels", "list"], "", lambda api: api.respond(EMPTY_LIST)),
        pytest.param(
            ["channels", "create", "slack", "--name", "Ops", "--webhook-url", "-", "--output", "json"],
            f"{URL}\n",
            lambda api: api.respond({"id": "öps", "name": "Ops"}, 201),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["channel-templates", "create", "--file", "-"],
            '{"id": "mine", "name": "Mine"}',
            lambda api: api.respond({"id": "mine", "name": "Mine"}, 201),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["templates", "versions", "ours"], "", lambda api: api.respond(EMPTY_LIST), marks=pytest.mark.slow
        ),
        pytest.param(
            ["deliveries", "redeliver", "17"],
            "",
            lambda api: api.respond_problem(409, "merged"),
            marks=pytest.mark.slow,
        ),
        pytest.param(["settings", "--output", "json"], "", lambda api: None, marks=pytest.mark.slow),
        pytest.param(["deliveries", "list", "--limit", "0"], "", lambda api: None, marks=pytest.mark.slow),
        pytest.param(["channels", "test", "--help"], "", lambda api: None, marks=pytest.mark.slow),
    ],
    ids=[
        *("channels list", "channels create", "channel-templates create", "templates versions"),
        *("deliveries redeliver", "settings", "usage error", "help"),
    ],
)
async def test_a_process_and_a_call_have_the_same_result(
    api: FakeApi,
    relay_at: Relay,
    relay_process: Relay,
    arguments: list[str],
    stdin: str,
    respond: Callable[[FakeApi], None],
) -> None:
    respond(api)
    expected = await relay_at(*arguments, stdin=stdin)
    respond(api)
    result = await relay_process(*arguments, stdin=stdin, RELAY_URL=api.url, RELAY_KEY="a-key")
    assert result == expected
    calls = len(api.requests) // 2
    assert api.requests[calls:] == api.requests[:calls]
