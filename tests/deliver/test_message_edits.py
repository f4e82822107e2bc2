"""Tests of edited messages: what they contain, and when a group gets a new one."""

from datetime import UTC, datetime, timedelta

import msgspec

from relay.deliver.message_edits import MAX_RESOLVED, PreparedMessage, prepare_edit, updated
from relay.domain.alerts import Alert
from relay.domain.notifications import Notification
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from relay.store.outbox.message_edits import EditableMessage
from tests.notify.factories import alert, notification

GROUP = 7
REFS = ("111.222",)


def editable(
    *alert_ids: int, message_refs: tuple[str, ...] = REFS, omitted: int = 0, ended: bool = False
) -> EditableMessage:
    return EditableMessage(GROUP, message_refs, alert_ids, omitted, ended)


def prepared(
    *alerts: tuple[int, Alert], before: EditableMessage | None = None, earlier: tuple[tuple[int, Alert], ...] = ()
) -> PreparedMessage:
    return prepare_edit(
        notification(*(one for _, one in alerts)), [at for at, _ in alerts], GROUP, before, list(earlier)
    )


def message_of(result: PreparedMessage) -> Notification:
    assert isinstance(result.message, Notification)
    return result.message


FIRING, RESOLVED = alert("A"), alert("A", "resolved")
OTHER, OTHER_RESOLVED = alert("B"), alert("B", "resolved")


def test_a_new_group_gets_a_new_message() -> None:
    result = prepared((1, FIRING))

    assert message_of(result).message_refs == ()
    assert result.editable == editable(1, message_refs=())


def test_an_additional_alert_is_added_to_the_message_of_the_earlier_ones() -> None:
    result = prepared((2, OTHER), before=editable(1), earlier=((1, FIRING),))

    assert message_of(result).message_refs == REFS
    assert message_of(result).alerts == (OTHER, FIRING)
    assert result.editable == editable(2, 1)


def test_resolved_alerts_stay_in_the_message_when_alertmanager_omits_them() -> None:
    result = prepared((1, FIRING), before=editable(1, 2), earlier=((2, OTHER_RESOLVED),))

    assert message_of(result).alerts == (FIRING, OTHER_RESOLVED)


def test_the_message_ends_with_its_last_resolved_alert() -> None:
    result = prepared((1, RESOLVED), before=editable(1))

    assert message_of(result).message_refs == REFS
    assert result.editable == editable(1, ended=True)


def test_an_alert_that_fires_after_all_were_resolved_is_a_new_incident() -> None:
    result = prepared((3, FIRING), before=editable(1, ended=True), earlier=((1, RESOLVED),))

    assert message_of(result).message_refs == ()
    assert message_of(result).alerts == (FIRING,)
    assert result.editable == editable(3, message_refs=())


def test_a_repeated_resolved_alert_edits_the_message_that_ended_with_it() -> None:
    result = prepared((1, RESOLVED), before=editable(1, ended=True))

    assert message_of(result).message_refs == REFS


def test_the_next_notification_corrects_a_message_with_outdated_firing_alerts() -> None:
    result = prepared((2, OTHER), before=editable(1), earlier=((1, RESOLVED),))

    assert message_of(result).message_refs == REFS
    assert message_of(result).alerts == (OTHER, RESOLVED)


def test_an_alert_that_fires_again_is_shown_once_even_if_its_end_was_never_reported() -> None:
    later = msgspec.structs.replace(FIRING, starts_at=FIRING.starts_at + timedelta(days=1))

    result = prepared((3, later), before=editable(1, 2), earlier=((1, FIRING), (2, OTHER)))

    assert message_of(result).alerts == (later, OTHER)


def test_older_resolved_alerts_beyond_the_limit_are_counted() -> None:
    ended = datetime(2026, 11, 24, tzinfo=UTC)
    many = tuple(
        (at, msgspec.structs.replace(RESOLVED, ends_at=ended - timedelta(minutes=at))) for at in range(1, 151)
    )

    result = prepared((200, FIRING), before=editable(*range(1, 151), 200, omitted=3), earlier=many)

    message = message_of(result)
    assert message.alerts == (FIRING, *(one for _, one in many[:MAX_RESOLVED]))
    assert message.omitted == 3 + 50
    assert result.editable is not None
    assert (len(result.editable.alert_ids), result.editable.omitted) == (101, 53)


def test_the_references_of_a_sent_message_are_stored() -> None:
    assert updated(editable(1, message_refs=()), Sent(200, message_refs=("5",))) == editable(
        1, message_refs=("5",)
    )


def test_references_from_before_a_failure_are_stored_so_that_no_part_is_posted_twice() -> None:
    failed = Retry(Reason.SERVER_ERROR, "503", message_refs=("5",))

    assert updated(editable(1, message_refs=(), ended=True), failed) == editable(1, message_refs=("5",))


def test_a_failure_without_new_references_stores_nothing() -> None:
    assert updated(editable(1, message_refs=()), Retry(Reason.SERVER_ERROR, "503")) is None
    assert updated(editable(1), Rejected(Reason.CLIENT_ERROR, "400", message_refs=REFS)) is None


def test_without_a_reference_nothing_is_stored() -> None:
    assert updated(editable(1, message_refs=()), Sent(200, message_refs=("",))) is None
