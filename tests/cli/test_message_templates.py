"""`relay templates` sends the given fields and shows the responses."""

from pathlib import Path

from .conftest import FakeApi, Relay

TEMPLATE = {"id": "ours", "name": "Ours", "version": 2, "title": "x", "body": None, "alert": "y"}


async def test_parts_are_read_from_arguments_files_and_standard_input(
    api: FakeApi, relay_at: Relay, tmp_path: Path
) -> None:
    file = tmp_path / "alert.j2"
    file.write_text("{{ alert.labels.instance }}\nsecond\n")
    parts = ("--title", "{{ status }}", "--body", "-", "--alert", f"@{file}")
    result = await relay_at("templates", "create", "--name", "Ours", *parts, stdin="from stdin\n")
    assert (result.code, result.err) == (0, "")
    assert (api.requests[0].method, api.requests[0].path) == ("POST", "/templates")
    assert api.body == {
        "name": "Ours",
        "title": "{{ status }}",
        "body": "from stdin",
        "alert": "{{ alert.labels.instance }}\nsecond",
    }


async def test_update_sends_the_given_fields_and_clears_parts(api: FakeApi, relay_at: Relay) -> None:
    result = await relay_at("templates", "update", "ours", "--title", "-x", "--clear", "body")
    assert (result.code, result.err) == (0, "")
    assert (api.requests[0].method, api.requests[0].path) == ("PATCH", "/templates/ours")
    assert api.body == {"title": "-x", "body": None}


async def test_an_invalid_update_is_not_sent(api: FakeApi, relay_at: Relay) -> None:
    for arguments in ((), ("--title", "x", "--clear", "title"), ("--clear", "name")):
        assert (await relay_at("templates", "update", "ours", *arguments)).code == 1
    assert api.requests == []


async def test_the_list_shows_the_names_of_the_parts(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"items": [TEMPLATE], "next": None})
    result = await relay_at("templates", "list")
    assert "title, alert" in result.out


async def test_versions_are_listed_shown_and_restored(api: FakeApi, relay_at: Relay) -> None:
    api.respond({"items": [TEMPLATE], "next": None})
    api.respond(TEMPLATE)
    api.respond(TEMPLATE)
    assert "title, alert" in (await relay_at("templates", "versions", "ours")).out
    assert (await relay_at("templates", "versions", "ours", "2", "--output", "json")).json == TEMPLATE
    assert (await relay_at("templates", "restore", "ours", "1")).code == 0
    assert [(request.method, request.path) for request in api.requests] == [
        ("GET", "/templates/ours/versions"),
        ("GET", "/templates/ours/versions/2"),
        ("POST", "/templates/ours/versions/1/restore"),
    ]


async def test_a_template_is_shown_and_deleted(api: FakeApi, relay_at: Relay) -> None:
    api.respond(TEMPLATE)
    assert (await relay_at("templates", "get", "ours", "--output", "json")).json == TEMPLATE
    assert "is deleted" in (await relay_at("templates", "delete", "ours")).out


async def test_a_channel_is_created_with_a_template(api: FakeApi, relay_at: Relay) -> None:
    arguments = ("--name", "Ops", "--webhook-url", "https://x.example.com", "--template", "ours")
    assert (await relay_at("channels", "create", "webhook", *arguments)).code == 0
    assert api.body["template"] == "ours"
