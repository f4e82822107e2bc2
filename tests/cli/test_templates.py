"""Do the commands of message templates send what was asked for, and show what came back?"""

from pathlib import Path

from .conftest import FakeApi, Relay

TEMPLATE = {"id": "ours", "name": "Ours", "version": 2, "title": "x", "body": None, "alert": "y"}


async def test_parts_are_given_in_words_in_files_and_on_standard_input(
    api: FakeApi, relay_at: Relay, tmp_path: Path
) -> None:
    file = tmp_path / "alert.j2"
    file.write_text("{{ alert.labels.instance }}\nsecond\n")
    parts = ("--title", "{{ status }}", "--body", "-", "--alert", f"@{file}")
    ran = await relay_at("templates", "create", "--name", "Ours", *parts, stdin="from stdin\n")
    assert (ran.code, ran.err) == (0, "")
    assert (api.seen[0].method, api.seen[0].path) == ("POST", "/templates")
    assert api.body == {
        "name": "Ours",
        "title": "{{ status }}",
        "body": "from stdin",
        "alert": "{{ alert.labels.instance }}\nsecond",
    }


async def test_an_update_sends_what_is_given_and_clears_parts(api: FakeApi, relay_at: Relay) -> None:
    ran = await relay_at("templates", "update", "ours", "--title", "-x", "--clear", "body")
    assert (ran.code, ran.err) == (0, "")
    assert (api.seen[0].method, api.seen[0].path) == ("PATCH", "/templates/ours")
    assert api.body == {"title": "-x", "body": None}


async def test_an_update_of_nothing_or_of_both_is_refused(api: FakeApi, relay_at: Relay) -> None:
    for words in ((), ("--title", "x", "--clear", "title"), ("--clear", "name")):
        assert (await relay_at("templates", "update", "ours", *words)).code == 1
    assert api.seen == []


async def test_a_list_names_the_parts(api: FakeApi, relay_at: Relay) -> None:
    api.answer({"items": [TEMPLATE], "next": None})
    ran = await relay_at("templates", "list")
    assert "title, alert" in ran.out


async def test_versions_are_listed_shown_and_restored(api: FakeApi, relay_at: Relay) -> None:
    api.answer({"items": [TEMPLATE], "next": None})
    api.answer(TEMPLATE)
    api.answer(TEMPLATE)
    assert "title, alert" in (await relay_at("templates", "versions", "ours")).out
    assert (await relay_at("templates", "versions", "ours", "2", "--output", "json")).json == TEMPLATE
    assert (await relay_at("templates", "restore", "ours", "1")).code == 0
    assert [(one.method, one.path) for one in api.seen] == [
        ("GET", "/templates/ours/versions"),
        ("GET", "/templates/ours/versions/2"),
        ("POST", "/templates/ours/versions/1/restore"),
    ]


async def test_one_is_shown_and_deleted(api: FakeApi, relay_at: Relay) -> None:
    api.answer(TEMPLATE)
    assert (await relay_at("templates", "get", "ours", "--output", "json")).json == TEMPLATE
    assert "is deleted" in (await relay_at("templates", "delete", "ours")).out


async def test_a_channel_names_one(api: FakeApi, relay_at: Relay) -> None:
    words = ("--name", "Ops", "--webhook-url", "https://x.example.com", "--template", "ours")
    assert (await relay_at("channels", "create", "webhook", *words)).code == 0
    assert api.body["template"] == "ours"
