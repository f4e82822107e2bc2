"""Is the middleware as light as it says?"""

import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

OF_THE_SERVICE = (
    "litestar",
    "sqlalchemy",
    "asyncpg",
    "aiohttp",
    "msgspec",
    "uvicorn",
    "structlog",
    "cryptography",
)
OF_APPLICATIONS = ("fastapi", "starlette", "django", "quart", "asgiref")


def run(script: str) -> str:
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_importing_it_loads_none_of_the_libraries_of_service_or_applications() -> None:
    heavy = (*OF_THE_SERVICE, *OF_APPLICATIONS)
    script = f"import sys, relay.middleware; print([name for name in {heavy!r} if name in sys.modules])"

    assert run(script) == "[]"


def test_it_works_where_nothing_but_prometheus_client_is_installed() -> None:
    script = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "relay", "prometheus_client"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nothing())
import asyncio
from relay.middleware import MetricsMiddleware, metrics_page, track_errors, track_redis_error

async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body"})

async def send(message): ...

asyncio.run(MetricsMiddleware(application)({"type": "http", "method": "GET"}, None, send))
track_redis_error("get")
print("dotmac_http_4xx_errors_total{" in metrics_page()[0].decode())
"""
    assert run(script) == "True"


def test_the_plain_install_asks_for_prometheus_client_alone() -> None:
    plain = [wanted for wanted in requires("alert-relay") or () if "extra ==" not in wanted]

    assert len(plain) == 1
    assert plain[0].startswith("prometheus-client")


@pytest.mark.parametrize("module", ["asgi", "decorator", "exposition", "frameworks", "routes"])
def test_each_part_can_be_imported_alone(module: str) -> None:
    run(f"import relay.middleware.{module}")


def test_the_types_of_an_application_that_uses_it_are_checked(tmp_path: Path) -> None:
    script = tmp_path / "application.py"
    script.write_text("""
from relay.middleware import MetricsMiddleware, from_state, metrics_page, track_errors

@track_errors(endpoint="/items/{id}")
def item(number: int) -> str:
    return str(number)

async def application(scope: object, receive: object, send: object) -> None: ...

body: bytes = metrics_page()[0] + item("seven").encode()
MetricsMiddleware(application, tenant=from_state())
""")
    strict = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(script)]

    checked = subprocess.run(strict, capture_output=True, text=True, cwd=tmp_path)

    assert checked.stdout.count("error:") == 1
    assert 'Argument 1 to "item" has incompatible type "str"; expected "int"' in checked.stdout
