"""The OpenAPI description of Alertmanager's webhook, whose body the relay decodes itself."""

from dataclasses import dataclass
from typing import Final

from litestar.openapi.spec import (
    Example,
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)


def _text(description: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, description=description)


def _time(description: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME, description=description)


def _texts(description: str) -> Schema:
    return Schema(
        type=OpenAPIType.OBJECT, additional_properties=Schema(type=OpenAPIType.STRING), description=description
    )


_ALERT: Final = Schema(
    type=OpenAPIType.OBJECT,
    required=["labels", "startsAt"],
    properties={
        "status": Schema(type=OpenAPIType.STRING, enum=["firing", "resolved"]),
        "labels": _texts("They identify the alert, with its fingerprint."),
        "annotations": _texts("What messages show: summary, description, message, runbook_url and others."),
        "startsAt": _time("When it began to fire."),
        "endsAt": _time("When it ended; 0001-01-01T00:00:00Z while it fires."),
        "generatorURL": _text("The query that fires."),
        "fingerprint": _text("A hash of the labels; computed if it is absent."),
    },
)
_BODY: Final = Schema(
    type=OpenAPIType.OBJECT,
    title="AlertmanagerWebhook",
    description="Version 4 of Alertmanager's webhook. Other fields are ignored.",
    required=["alerts"],
    properties={
        "version": _text("The version of the format, `4`."),
        "groupKey": _text("The identity of the group; derived from groupLabels if it is absent."),
        "status": Schema(type=OpenAPIType.STRING, enum=["firing", "resolved"]),
        "receiver": _text("The receiver in Alertmanager's configuration."),
        "groupLabels": _texts("The labels by which Alertmanager groups."),
        "commonLabels": _texts("The labels that all alerts share."),
        "commonAnnotations": _texts("The annotations that all alerts share."),
        "externalURL": _text("Alertmanager's own URL, which links lead to."),
        "truncatedAlerts": Schema(type=OpenAPIType.INTEGER, description="Alerts that Alertmanager left out."),
        "alerts": Schema(type=OpenAPIType.ARRAY, items=_ALERT, min_items=1),
    },
)
_EXAMPLE: Final = {
    "version": "4",
    "groupKey": '{}:{alertname="DiskFull"}',
    "status": "firing",
    "receiver": "alert-relay",
    "groupLabels": {"alertname": "DiskFull"},
    "commonLabels": {"alertname": "DiskFull", "severity": "critical"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "DiskFull", "severity": "critical", "instance": "db-1"},
            "annotations": {"summary": "The disk of db-1 is full"},
            "startsAt": "2026-11-23T15:33:27.229Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph",
        }
    ],
}


@dataclass
class WebhookOperation(Operation):
    """The webhook, whose token is required only where one is set."""

    def __post_init__(self) -> None:
        """Describe the body."""
        media_type = OpenAPIMediaType(schema=_BODY, examples={"firing": Example(value=_EXAMPLE)})
        self.request_body = RequestBody(content={"application/json": media_type}, required=True)
        self.security = [{}, {"key": []}]
