"""The dependencies and types of the middleware package."""

import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

SERVICE_LIBRARIES = (
    "litestar",
    "sqlalchemy",
    "asyncpg",
    "aiohttp",
    "msgspec",
    "uvicorn",
    "structlog",
    "cryptography",
)
FRAMEWORKS = ("fastapi", "starlette", "django", "quart", "asgiref")


def run(script: str) -> str:
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_import_loads_no_library_of_the_service_or_a_framework() -> None:
    heavy = (*SERVICE_LIBRARIES, *FRAMEWORKS)
    script = f"import sys, relay.middleware; print([name for name in {heavy!r} if name in sys.modules])"

    assert run(script) == "[]"


def test_it_works_with_prometheus_client_alone() -> None:
    script = """
import sys

class OnlyAllowed:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "relay", "prometheus_client"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, OnlyAllowed())
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


def test_the_plain_install_requires_prometheus_client_alone() -> None:
    plain = [requirement for requirement in requires("alert-relay") or () if "extra ==" not in requirement]

    assert len(plain) == 1
    assert plain[0].startswith("prometheus-client")


@pytest.mark.parametrize("module", ["asgi", "decorator", "exposition", "frameworks", "routes"])
def test_each_module_can_be_imported_alone(module: str) -> None:
    run(f"import relay.middleware.{module}")


def test_the_types_of_an_application_are_checked(tmp_path: Path) -> None:
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
