"""The stack in compose.yaml, its secrets and its settings."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from relay.settings import FILE, PREFIX, Settings, load
from relay.store.configuration.seal import Seal
from tests.fixtures.processes import free_port

ROOT = Path(__file__).parent.parent.parent
STACK: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
SCHEMA = Path(__file__).parent / "compose_spec/compose-spec.json"
MAKE_SECRETS = ROOT / "deploy/make-secrets.sh"

ONE_SHOTS = {"migrate", "setup"}
MONITORING = {"prometheus", "alertmanager", "grafana", "node-exporter", "demo", "setup"}
READ_ONLY = {"relay", "worker", "migrate", "demo", "setup"}
PORTS = {"relay": 8080, "demo": 8000, "prometheus": 9090, "alertmanager": 9093, "grafana": 3001}

for_each_service = pytest.mark.parametrize("name", SERVICES)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of secrets that the script creates."""
    script = tmp_path_factory.mktemp("deploy") / MAKE_SECRETS.name
    shutil.copy(MAKE_SECRETS, script)
    subprocess.run([script], check=True, capture_output=True)
    return script.parent / "secrets"


def test_the_stack_conforms_to_the_compose_specification() -> None:
    schema = json.loads(SCHEMA.read_text())
    problems = jsonschema.validators.validator_for(schema)(schema).iter_errors(STACK)
    assert [f"{problem.json_path}: {problem.message}" for problem in problems] == []


def test_only_the_relay_postgres_and_the_migration_run_without_a_profile() -> None:
    profiles = {name: tuple(service.get("profiles", ())) for name, service in SERVICES.items()}
    assert profiles == {
        **dict.fromkeys(("relay", "migrate", "postgres"), ()),
        **dict.fromkeys(MONITORING, ("monitoring",)),
        "worker": ("workers",),
    }


@for_each_service
def test_each_image_has_a_fixed_version(name: str) -> None:
    image = re.sub(r"\$\{\w+:-(.*)\}", r"\1", SERVICES[name]["image"])
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", image)


@for_each_service
def test_each_service_has_a_restart_policy_a_health_check_and_limits(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() >= {"cpus", "memory", "pids"}
    if name in ONE_SHOTS:
        assert service["restart"] == "no"
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD", "a health check must not require a shell"


@for_each_service
def test_each_service_runs_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service.get("cap_drop") == ["ALL"] or name == "postgres"
    assert service.get("read_only", False) == (name in READ_ONLY)


def test_the_relay_waits_for_the_migration_which_waits_for_the_database() -> None:
    for name in ("relay", "worker"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert SERVICES["migrate"]["command"] == ["db", "upgrade"]


def test_ports_match_the_guide_and_are_bound_to_localhost() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    guide = (ROOT / "deploy/README.md").read_text()
    assert published.keys() == PORTS.keys()
    for name, port in PORTS.items():
        [line] = published[name]
        assert line.startswith(f"${{BIND:-127.0.0.1}}:{port}:")
        assert f"http://localhost:{port}" in guide


@for_each_service
def test_mounted_directories_exist(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("./"):
            assert (ROOT / source).is_dir()
            assert volume.endswith(":ro")
        elif source != "/":
            assert source in STACK["volumes"]


def test_prometheus_and_alertmanager_target_services_of_the_stack() -> None:
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = {target for job in scraped for group in job["static_configs"] for target in group["targets"]}
    [relay] = [
        line for line in (ROOT / "deploy/alertmanager/alertmanager.yml").read_text().split() if "http://" in line
    ]
    hosts = {target.split(":")[0] for target in targets} | {urlsplit(relay).hostname}
    assert hosts - {"localhost"} <= SERVICES.keys()
    assert {"relay:8080", "demo:8000"} <= targets


def test_the_script_creates_every_secret_of_the_stack(secrets: Path) -> None:
    files = {name: given["file"] for name, given in STACK["secrets"].items()}
    assert files == {path.name: f"./deploy/secrets/{path.name}" for path in secrets.iterdir()}
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == files.keys()
    assert "\ndeploy/secrets/\n" in (ROOT / ".gitignore").read_text()


def test_secrets_are_private_on_the_host_and_readable_in_the_containers(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets.iterdir()} == {0o444}


def test_secrets_are_unique_and_existing_ones_are_kept(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    assert len(set(before.values())) == len(before)

    subprocess.run([secrets.parent / MAKE_SECRETS.name], check=True, capture_output=True)

    assert {path.name: path.read_text() for path in secrets.iterdir()} == before


@pytest.mark.parametrize("name", ["relay", "worker", "migrate", "setup"])
def test_the_relay_accepts_the_environment_of_each_service(name: str, secrets: Path) -> None:
    known = {PREFIX + field.upper() for field in Settings.__struct_fields__}
    environ = {variable: _with_defaults(value) for variable, value in SERVICES[name]["environment"].items()}
    assert {variable.removesuffix(FILE) for variable in environ} <= known

    settings = load({key: value.replace("/run/secrets", str(secrets)) for key, value in environ.items()})

    if name == "setup":
        assert (settings.url, settings.key) == (
            "http://relay:8080",
            (secrets / "relay_admin_key").read_text().strip(),
        )
    else:
        assert settings.database_url is not None
        assert settings.database_url.startswith("postgresql://relay:")
        assert settings.secret_key is not None
        Seal(settings.secret_key)


@pytest.mark.slow
@pytest.mark.parametrize(("allowed", "status"), [("", 0), ("hooks.internal", 0), ("hooks.internal,demo", 1)])
def test_setup_creates_a_channel_only_if_the_demo_is_an_allowed_target(allowed: str, status: int) -> None:
    """No relay listens, so creating a channel fails."""
    [script] = SERVICES["setup"]["command"]
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RELAY_URL": f"http://127.0.0.1:{free_port()}",
        "RELAY_KEY": "key",
        "RELAY_ALLOWED_TARGETS": allowed,
    }

    ran = subprocess.run(["sh", "-c", script.replace("$$", "$")], env=environ, capture_output=True, text=True)

    assert ran.returncode == status, ran.stderr
    assert ("no channel created" in ran.stdout) == (status == 0)


@for_each_service
def test_a_service_reads_only_its_own_secrets(name: str) -> None:
    service = SERVICES[name]
    read = {Path(value).name for value in service.get("environment", {}).values() if "/run/secrets/" in value}
    assert read <= set(service.get("secrets", []))


def test_env_example_sets_only_variables_that_the_stack_reads() -> None:
    example = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    assert named <= read | {"COMPOSE_PROFILES"}
    assert {"RELAY_IMAGE", "RELAY_EXTERNAL_URL", "RELAY_ALLOWED_TARGETS"} <= named


def _with_defaults(value: str) -> str:
    """A value with Compose's defaults, as if no variable were set."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", value)
