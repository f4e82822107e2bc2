"""Sources, and the adoption of what was open before a webhook named its source."""

import pytest

from relay.domain.errors import InvalidWebhook
from relay.domain.identity import group_hash
from relay.receive.senders import sender_address, source_of
from relay.settings import load
from tests.receive.histories import History, firing, resolved


@pytest.fixture
def history() -> History:
    return History()


def test_sources_with_one_group_key_share_nothing(history: History) -> None:
    assert history.send("10:00", firing(), source="eu", url="http://eu") == "new"
    assert history.send("10:00", firing(), source="us", url="http://us") == "new"

    assert len(history.occurrences) == 2
    history.send("10:11", resolved(), source="us", url="http://us")
    assert sorted(history.periods) == ["10:00-", "10:00-10:10"]


def test_a_source_adopts_what_its_url_reported_without_a_source(history: History) -> None:
    history.send("10:00", firing())

    history.send("10:05", firing(), source="eu")

    [occurrence] = history.occurrences
    assert (occurrence.source, occurrence.adopted, occurrence.is_open) == ("eu", True, True)
    [receipt] = history.batches[-1].rows.receipts
    assert (receipt.adopted, receipt.source, receipt.group_hash) == (True, "eu", group_hash("g"))

    history.send("10:11", resolved(), source="eu")
    assert history.periods == ["10:00-10:10"]
    [receipt] = history.batches[-1].rows.receipts
    assert (receipt.adopted, receipt.group_hash) == (True, group_hash("g"))

    history.send("10:20", firing(starts="10:20"), source="eu")
    [receipt] = history.batches[-1].rows.receipts
    assert (receipt.adopted, receipt.group_hash) == (False, group_hash("g", "eu"))


def test_a_resolve_with_a_source_closes_what_was_reported_without_one(history: History) -> None:
    history.send("10:00", firing())

    assert history.send("10:11", resolved(), source="eu") == "new"
    assert history.periods == ["10:00-10:10"]


def test_alerts_of_another_url_are_not_adopted(history: History) -> None:
    history.send("10:00", firing(), url="http://us")

    history.send("10:05", firing(), source="eu", url="http://eu")

    assert [occurrence.source for occurrence in history.occurrences] == ["", "eu"]


def test_what_a_peer_reports_without_a_source_is_adopted_as_soon_as_it_names_one(history: History) -> None:
    history.send("10:00", firing())
    history.send("10:05", firing(), source="eu")
    history.send("10:06", firing(), sender="B")  # still without the source

    history.send("10:07", firing(), sender="B", source="eu")

    assert sum(occurrence.is_open for occurrence in history.occurrences) == 1


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 65, "a/b"])
def test_a_malformed_source_or_sender_is_rejected(name: str) -> None:
    with pytest.raises(InvalidWebhook, match="1 to 64"):
        source_of(name)
    with pytest.raises(InvalidWebhook, match="1 to 64"):
        sender_address(name, "10.0.0.1", [], [])


def test_the_source_of_the_relay_is_reserved() -> None:
    with pytest.raises(InvalidWebhook, match="reserved"):
        source_of("relay")


@pytest.mark.parametrize(
    ("name", "client", "forwarded", "expected"),
    [
        ("", "192.0.2.1", [], "192.0.2.1"),
        ("am-0", "10.0.0.1", ["192.0.2.1"], "am-0"),
        ("", "192.0.2.1", ["192.0.2.9"], "192.0.2.1"),
        ("", "10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("", "10.0.0.1", ["192.0.2.7, 192.0.2.1"], "192.0.2.1"),
        ("", "10.0.0.1", ["192.0.2.7", "192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        ("", "10.0.0.1", [], "10.0.0.1"),
        ("", "", ["192.0.2.1"], ""),
    ],
)
def test_the_address_of_a_sender(name: str, client: str, forwarded: list[str], expected: str) -> None:
    proxies = load({"RELAY_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32"}).trusted_networks

    assert sender_address(name, client, forwarded, proxies) == expected
