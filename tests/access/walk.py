"""All requests by which a principal of a tenant may try to reach data of others."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from relay.api.pages import query_parameters
from relay.app import BASE_PATH as BASE
from relay.app import create_application
from tests.access.tenants import OTHER, OWN, SHARED, Objects, World

NUMBERED: Final = ("delivery_id", "merged_into", "alert_id")

Values = dict[str, Sequence[object]]
"""What a path may have as its parameters, by their types."""


@dataclass(frozen=True)
class Call:
    """A request with what belongs to others in it."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Walk:
    """All requests that may reach data of others."""

    def __init__(self, found: World) -> None:
        """Routes are those of the application, so that a new one is not forgotten."""
        self.world = found
        self.own, self.others = found.objects[OWN], [found.objects[OTHER], found.objects[SHARED]]
        kinds = ("-ok", "-dead", "-gone", "-template", "-set", "-source")
        self.names = [name for other in self.others for name in other.names if any(map(name.count, kinds))]
        self.deliveries = [number for other in self.others for number in other.deliveries]
        self.handlers = dict(_handlers())

    def names_for(self, path: str, objects: Objects) -> list[str]:
        """The names that a route may have, all of them unless its kind is known."""
        first = path.removeprefix(BASE).split("/")[1]
        if first == "silences":
            return objects.silences
        names = [name for name in objects.names if any(kind in name for kind in KINDS.get(first, ("",)))]
        return names if first in KINDS and first != "keys" else [*names, *objects.key_ids]

    def numbers(self, path: str, objects: Objects) -> list[int]:
        """The numbers that a route may have, by the object that has them; versions have small ones."""
        if "{delivery_id" in path:
            return objects.deliveries
        return objects.alerts if "{alert_id" in path else [1, 2]

    def reads(self) -> Iterator[Call]:
        """Every GET of a list, and of what is its own."""
        for method, path in self.handlers:
            own: Values = {"str": self.names_for(path, self.own), "int": self.numbers(path, self.own)}
            if method == "GET":
                for filled in _filled(path, own):
                    yield Call(method, filled)
            elif method == "OPTIONS":
                yield Call(method, next(_filled(path, own)))
        # A message to a shared channel has this link, which shows a tenant its own alerts.
        for number in self.world.objects[SHARED].deliveries:
            yield Call("GET", f"{BASE}/history", (("delivery_id", str(number)),))

    def attacks(self) -> Iterator[Call]:
        """Every request with an id of others in its path, its query or its body."""
        for (method, path), handler in self.handlers.items():
            if method == "OPTIONS":
                continue
            bodies = list(self.bodies(method, path))
            if ":" in path:
                names = [name for other in self.others for name in self.names_for(path, other)]
                numbers = [number for other in self.others for number in self.numbers(path, other)]
                for filled, body in product(_filled(path, {"str": names, "int": numbers}), bodies):
                    yield Call(method, filled, body=body)
                    if method in ("PATCH", "DELETE"):
                        yield Call(method, filled, body=body, headers=(("If-Match", '"77"'),))
            else:
                yield from (Call(method, path, body=body) for body in bodies if body is not None)
            for query in self.queries(handler):
                own: Values = {"str": self.own.names, "int": self.numbers(path, self.own)}
                yield Call(method, next(_filled(path, own)), query, bodies[0])
        yield from self.attacks_by_body()

    def bodies(self, method: str, path: str) -> Iterable[str | None]:
        """Valid bodies of a route."""
        of_route = (method, path.removeprefix(BASE))
        if method in ("GET", "DELETE", "HEAD") and of_route not in BODIES:
            return [None]
        found = BODIES[of_route]
        return [json.dumps(body) for body in found] if found else [None]

    def queries(self, handler: HTTPRouteHandler) -> Iterator[tuple[tuple[str, str], ...]]:
        """Every parameter of a route with each value of others."""
        for name in sorted(query_parameters(handler).values()):
            for value in self.values(name):
                yield ((name, value),)

    def values(self, name: str) -> Iterable[str]:
        """What others would have as a parameter."""
        if name in NUMBERED:
            other = self.world.objects[OTHER]
            return map(str, other.alerts if name == "alert_id" else other.deliveries)
        if name in WITHOUT_REFERENCES:
            return ()
        return [value.format(marker) for value in NAMED[name] for marker in (OTHER, SHARED)]

    def attacks_by_body(self) -> Iterator[Call]:
        """Every field of a body that names an object, with each of others."""
        own = f"{BASE}/channels/{OWN}-ok"
        hook = {"channel_type": "slack", "webhook_url": "http://127.0.0.1:9/x"}
        for name in self.names:
            for field in ("template", "fallback_channel_id"):
                yield _json("PATCH", own, {field: name})
                yield _json("POST", f"{BASE}/channels", {"name": "new", field: name} | hook)
            values = json.dumps({"url": "http://127.0.0.1:9/x"})
            yield Call("POST", f"{BASE}/channels", (("from_template", name),), values)
            yield _json("POST", f"{BASE}/test", {"channel_id": name})
            for field, state in product(("channel_id", "source"), ("dead", "delivered")):
                yield _json("POST", f"{BASE}/deliveries/redeliver", {"state": state, field: name})
            preview = f"{BASE}/preview"
            yield _json("POST", preview, {"channel_id": name})
            yield _json("POST", preview, {"channel_id": name, "channel": {"name": "patched"}})
            yield _json("POST", preview, {"channel_id": f"{OWN}-ok", "channel": {"template": name}})
            yield _json("POST", preview, {"channel": {"name": "new", "template": name} | hook})
            for fields in ({"channels": [name]}, {"remind_channel_id": name, "remind_before": "1h"}):
                for path in ("/silences", "/silences/preview"):
                    yield _json("POST", BASE + path, SILENCE | fields)
                yield _json("PATCH", f"{BASE}/silences/{self.own.silences[0]}", fields)
        for silence_id in [one for other in self.others for one in other.silences]:
            yield _json("POST", f"{BASE}/silences/preview", {"id": silence_id})
        for number in [number for other in self.others for number in other.alerts]:
            yield Call("GET", f"{BASE}/history/{number}/why", (("channel", f"{OWN}-ok"),))
        for number in self.deliveries:
            for given in ({"channel_id": f"{OWN}-ok"}, {"channel": {"name": "new"} | hook}):
                yield _json("POST", f"{BASE}/preview", given | {"delivery_id": number})


def _json(method: str, path: str, body: Any) -> Call:
    return Call(method, path, body=json.dumps(body))


def _handlers() -> Iterator[tuple[tuple[str, str], HTTPRouteHandler]]:
    for route in create_application().routes:
        assert isinstance(route, HTTPRoute)
        for handler, _ in route.route_handler_map.values():
            for method in handler.http_methods:
                yield (str(method), route.path), handler


def _filled(path: str, values: Values) -> Iterator[str]:
    """A path with all values for its parameters, by their types."""
    parts = re.split(r"\{[^}]*:(\w+)\}", path)
    for chosen in product(*(values[kind] for kind in parts[1::2])):
        yield "".join(text + str(value) for text, value in zip(parts[::2], [*chosen, ""], strict=True))


KINDS: Final = {
    "channels": ("-ok", "-fails", "-gone"),
    "channel-templates": ("-set",),
    "templates": ("-template",),
    "sources": ("-source",),
    "keys": (),
    "schema": ("-ok",),
}
"""The objects whose ids are in a path, by its first part."""
SILENCE: Final = {"matchers": ['a="b"'], "ends_at": "2999-01-01T00:00:00Z"}
GROUPS: Final = [
    *({"group_key": f'{{}}:{{group="{marker}"}}'} for marker in (OTHER, SHARED)),
    *(
        {"group_key": '{}:{group="mixed"}'} | given
        for given in ({"tenant_id": OTHER}, {"source": f"{OTHER}-source"})
    ),
]
"""Bodies that name groups of others, or alerts of others in a group with own ones."""
BODIES: Final[dict[tuple[str, str], list[Any]]] = {
    ("POST", "/webhook"): [{}],
    ("POST", "/channels"): [{}],
    ("PATCH", "/channels/{channel_id:str}"): [{"name": "taken over"}, {"enabled": False}, {}],
    ("POST", "/channels/{channel_id:str}/versions/{number:int}/restore"): [{}],
    ("POST", "/channel-templates"): [{}],
    ("PATCH", "/channel-templates/{template_id:str}"): [{"name": "taken over"}],
    ("POST", "/templates"): [{}],
    ("PATCH", "/templates/{template_id:str}"): [{"title": "taken over"}],
    ("POST", "/templates/{template_id:str}/versions/{number:int}/restore"): [None],
    ("POST", "/test"): [{}],
    ("POST", "/route"): [
        {"labels": {"tenant_id": OTHER, "team": OTHER}, "source": f"{OTHER}-source"},
        {"labels": {"team": SHARED}},
        {"labels": {"team": OTHER}, "channels": [{"id": f"{OTHER}-ok", "channel_type": "slack", "name": "n"}]},
        {"labels": {"a": "b"}, "silences": [{"matchers": "a=b", "rrule": None, "channels": [f"{OTHER}-ok"]}]},
    ],
    ("POST", "/preview"): [{}],
    ("POST", "/deliveries/{delivery_id:int}/redeliver"): [None],
    ("POST", "/history/{alert_id:int}/acknowledge"): [{"comment": "taken over"}],
    ("POST", "/groups/acknowledge"): GROUPS,
    ("DELETE", "/groups/acknowledge"): GROUPS,
    ("POST", "/deliveries/redeliver"): [{"since": "2999-01-01T00:00:00Z"}],
    ("PATCH", "/sources/{name:str}"): [{"stale_after": 1}, {"stale_after": None}],
    ("POST", "/silences"): [{}],
    ("PATCH", "/silences/{silence_id:str}"): [{"comment": "taken over"}, {}],
    ("POST", "/silences/{silence_id:str}/expire"): [None],
    ("POST", "/silences/preview"): [{}],
    ("POST", "/keys"): [{}],
    ("POST", "/keys/{key_id:str}/rotate"): [{"overlap": "0s"}],
}
NAMED: Final = {
    "from_template": ["{}-set"],
    "channel_id": ["{}-ok", "{}-dead"],
    "channel": ["{}-ok", "{}-gone"],
    "group_key": ['{{}}:{{group="{}"}}'],
    "source": ["{}-source", "{0}-source@{0}", "@{}"],
    "alertname": ["{} alert"],
    "severity": ["{}"],
    "category": ["{}-category"],
    "tenant_id": ["{}"],
    "fingerprint": ["{}"],
    "object_id": ["{}-ok", "{}-gone", "{0}-source@{0}"],
    "author": ["key:relay:{}"],
    "created_by": ["{}-admin"],
    "matcher": ['team="silenced-{}-0"'],
    "request_id": ["{}"],
}
"""Texts of others as parameters; a new parameter is to be added here, or below."""
WITHOUT_REFERENCES: Final = {
    *("limit", "cursor", "since", "until"),
    *("status", "state", "kind", "action", "routed", "acknowledged"),
}
