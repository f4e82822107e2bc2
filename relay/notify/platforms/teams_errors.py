"""The responses of Workflows, which posts to Microsoft Teams, and their outcomes."""

import re
from http import HTTPStatus
from typing import Final

import msgspec

from relay.domain.outcomes import Outcome, Reason, Rejected
from relay.notify.classify import accepted, destination_gone, failure, retry
from relay.notify.requests import Response

SUCCESS: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED})
GONE: Final = ("workflownotfound", "workflowtriggernotfound")
"""Error codes with status 404 of Logic Apps, which runs the workflows."""
SWITCHED_OFF: Final = (
    "workflowtriggerisnotenabled",
    "workflowsuspended",
    "triggerrequestmethodnotvalid",
    "missingapiversionparameter",
    "invalidapiversionparameter",
)
"""Error codes with status 400 that are about the workflow or its URL.

https://learn.microsoft.com/en-us/azure/logic-apps/logic-apps-workflow-actions-triggers
"""

_nested_error = re.compile(r"teams endpoint returned http error (\d{3})")
"""An error of Teams itself, inside the response of the service in front of it, which may be a 200.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#rate-limiting-for-connectors
"""


def outcome_of(response: Response) -> Outcome:
    """Classify a response. An error of Teams itself may be inside a 200.

    The success is a 200 or 202 without a body, or with JSON, which the author of the workflow chooses.
    """
    status, text = response.status, response.text.lower()
    if 200 <= status < 300 and (nested := _nested_error.search(text)):
        return failure(msgspec.structs.replace(response, status=int(nested[1])))
    if 200 <= status < 300 and "request entity too large" in text:
        return Rejected(Reason.CLIENT_ERROR, response.text, status)
    if status in SUCCESS and _is_success(response.body):
        return accepted(response)
    if status == HTTPStatus.NOT_FOUND and any(code in text for code in GONE):
        return destination_gone(response)
    if 400 <= status < 500 and any(code in text for code in SWITCHED_OFF):
        return retry(Reason.CLIENT_ERROR, f"{status} {response.text}", response)
    return failure(response)


def _is_success(body: bytes) -> bool:
    """Whether a body is empty, or JSON that is no error and no text."""
    if not body.strip():
        return True
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not isinstance(decoded, str) and not (isinstance(decoded, dict) and decoded.get("error"))
