"""Assertions on responses of the API."""

from tests.fixtures.relays import ApiResponse


def rejected(response: ApiResponse, field: str, *texts: str) -> None:
    """Assert that a field was rejected, with these texts in the detail."""
    assert response.status == 400, response.body
    assert [error["field"] for error in response.json["errors"]] == [field]
    assert all(text in response.json["detail"] for text in texts), response.json["detail"]
