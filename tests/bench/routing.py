"""The cost of routing an alert among 10 channels and among 10,000, and of changing one of these."""

import time
from datetime import UTC, datetime

from relay.domain.alerts import Alert, Status
from relay.domain.channel_types import Filters
from relay.route.table import RoutingTable
from tests.bench.figures import Amount, Figure

ROUNDS = 7
ALERTS = 2_000
FEW, MANY = 10, 10_000
CHANGES = 200


async def measure(_url: str) -> list[Figure]:
    """Each channel takes the alerts of another tenant, of some severity, name or team; a few match each alert."""
    few, many = table(FEW), table(MANY)
    alerts = [alert(at % FEW) for at in range(ALERTS)]
    assert [list(few.match(alert)) for alert in alerts[:FEW]] == [
        list(many.match(alert)) for alert in alerts[:FEW]
    ]
    cost_few, cost_many = [], []
    for _ in range(ROUNDS):
        cost_few.append(cost(few, alerts))
        cost_many.append(cost(many, alerts))
    best_few, best_many = min(cost_few), min(cost_many)
    detail = f"{best_few * 1e6:.1f} µs among {FEW}, {best_many * 1e6:.1f} µs among {MANY}"
    amounts = (Amount(f"µs among {FEW}", best_few * 1e6), Amount(f"µs among {MANY}", best_many * 1e6))
    return [
        Figure(
            "routing one alert: 10,000 channels / 10", best_many / best_few, detail, at_most=1.5, amounts=amounts
        ),
        regular_expressions(),
        changes(),
    ]


def regular_expressions() -> Figure:
    """10,000 channels with two regular expressions each, compared to the same conditions as equalities."""
    equal = {f"c-{at}": Filters(matchers=(f'host="h-{at}"', 'team="db"')) for at in range(MANY)}
    regular = {f"c-{at}": Filters(matchers=(f'host=~"h-{at}"', 'team=~"db|infra"')) for at in range(MANY)}
    tables = [RoutingTable(1, equal, "tenant_id"), RoutingTable(1, regular, "tenant_id")]
    alerts = [labeled({"alertname": "a", "host": f"h-{at * 4}", "team": "db"}) for at in range(ALERTS)]
    assert [list(tables[0].match(one)) for one in alerts[:FEW]] == [
        list(tables[1].match(one)) for one in alerts[:FEW]
    ]
    costs: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for routes, measured in zip(tables, costs, strict=True):
            measured.append(cost(routes, alerts))
    best_equal, best_regular = min(costs[0]), min(costs[1])
    detail = f"{best_equal * 1e6:.1f} µs with equality, {best_regular * 1e6:.1f} µs with regular expressions"
    return Figure(
        "routing one alert among 10,000: regular expressions / equality",
        best_regular / best_equal,
        detail,
        at_most=3.0,
        amounts=(
            Amount("µs with equality", best_equal * 1e6),
            Amount("µs with regular expressions", best_regular * 1e6),
        ),
    )


def changes() -> Figure:
    """A change of one of 10,000 channels, half of them with a regular expression of their own, and a new table."""
    channels = {f"c-{at}": Filters(matchers=(f'host=~"h-{at}"',)) if at % 2 else filters(at) for at in range(MANY)}
    built, changed = [], []
    routes = RoutingTable(1, channels, "tenant_id")
    for _ in range(ROUNDS):
        started = time.thread_time()
        routes = RoutingTable(1, channels, "tenant_id")
        built.append(time.thread_time() - started)
        started = time.thread_time()
        for at in range(CHANGES):
            one = Filters(matchers=(f'host=~"changed-{at}"',)) if at % 2 else filters(MANY + at)
            routes = routes.changed(2 + at, {f"c-{at * MANY // CHANGES}": one})
        changed.append((time.thread_time() - started) / CHANGES)
    assert list(routes.match(labeled({"host": f"changed-{CHANGES - 1}"})))
    best_built, best_changed = min(built), min(changed)
    return Figure(
        "building the table of 10,000 channels / changing one",
        best_built / best_changed,
        f"{best_changed * 1e3:.2f} ms for a change, {best_built * 1e3:.0f} ms for the table",
        at_least=50,
        amounts=(Amount("ms for a change", best_changed * 1e3), Amount("ms for the table", best_built * 1e3)),
    )


def cost(routes: RoutingTable, alerts: list[Alert]) -> float:
    """CPU seconds per alert."""
    started = time.thread_time()
    for alert in alerts:
        for _ in routes.match(alert):
            pass
    return (time.thread_time() - started) / len(alerts)


def table(size: int) -> RoutingTable:
    """Channels with filters of four kinds."""
    return RoutingTable(1, {f"channel-{at}": filters(at) for at in range(size)}, "tenant_id")


def filters(at: int) -> Filters:
    """The filters of the channel of a tenant."""
    tenant = f"tenant-{at}"
    match at % 4:
        case 0:
            return Filters(tenant_id=tenant)
        case 1:
            return Filters(tenant_id=tenant, severities=("critical", "warning"))
        case 2:
            return Filters(tenant_id=tenant, alert_names=("HighErrorRate", "Down"), matchers=('team=~"db|infra"',))
        case _:
            return Filters(matchers=(f'tenant_id="{tenant}"', 'instance!="api-0"'))


def alert(tenant: int) -> Alert:
    """An alert of a tenant."""
    labels = {
        "alertname": "HighErrorRate",
        "severity": "warning",
        "category": "errors",
        "instance": "api-1:8000",
        "team": "db",
        "tenant_id": f"tenant-{tenant}",
    }
    return labeled(labels)


def labeled(labels: dict[str, str]) -> Alert:
    """An alert with labels."""
    return Alert(
        status=Status.FIRING,
        labels=labels,
        annotations={},
        starts_at=datetime.now(UTC),
        ends_at=None,
        generator_url="",
        fingerprint="f",
    )
