"""What does a message that is edited tell, and when does a group get a new one?"""

from datetime import UTC, datetime, timedelta

import msgspec

from relay.deliver.message_edits import MAX_RESOLVED, PreparedMessage, prepare_edit, updated
from relay.domain.alerts import Alert
from relay.domain.notifications import Notification
from relay.domain.outcomes import Reason, Rejected, Retry, Sent
from relay.store.outbox.message_edits import EditableMessage
from tests.notify.factories import alert, notification

GROUP = 7
POSTED = ("111.222",)


def living(
    *alert_ids: int, message_refs: tuple[str, ...] = POSTED, omitted: int = 0, ended: bool = False
) -> EditableMessage:
    return EditableMessage(GROUP, message_refs, alert_ids, omitted, ended)


def told(
    *alerts: tuple[int, Alert], before: EditableMessage | None = None, earlier: tuple[tuple[int, Alert], ...] = ()
) -> PreparedMessage:
    return prepare_edit(
        notification(*(one for _, one in alerts)), [at for at, _ in alerts], GROUP, before, list(earlier)
    )


def message_of(given: PreparedMessage) -> Notification:
    assert isinstance(given.message, Notification)
    return given.message


FIRING, RESOLVED = alert("A"), alert("A", "resolved")
OTHER, OTHER_RESOLVED = alert("B"), alert("B", "resolved")


def test_a_group_told_for_the_first_time_gets_a_message_of_its_own() -> None:
    given = told((1, FIRING))

    assert message_of(given).message_refs == ()
    assert given.editable == living(1, message_refs=())


def test_an_alert_that_joins_is_told_in_the_same_message_with_those_before() -> None:
    given = told((2, OTHER), before=living(1), earlier=((1, FIRING),))

    assert message_of(given).message_refs == POSTED
    assert message_of(given).alerts == (OTHER, FIRING)
    assert given.editable == living(2, 1)


def test_what_was_resolved_stays_in_the_message_when_alertmanager_names_it_no_more() -> None:
    given = told((1, FIRING), before=living(1, 2), earlier=((2, OTHER_RESOLVED),))

    assert message_of(given).alerts == (FIRING, OTHER_RESOLVED)


def test_the_last_resolved_ends_the_message() -> None:
    given = told((1, RESOLVED), before=living(1))

    assert message_of(given).message_refs == POSTED
    assert given.editable == living(1, ended=True)


def test_what_fires_after_all_was_resolved_is_another_incident() -> None:
    given = told((3, FIRING), before=living(1, ended=True), earlier=((1, RESOLVED),))

    assert message_of(given).message_refs == ()
    assert message_of(given).alerts == (FIRING,)
    assert given.editable == living(3, message_refs=())


def test_news_of_an_ended_message_s_own_alerts_are_told_in_it() -> None:
    given = told((1, RESOLVED), before=living(1, ended=True))

    assert message_of(given).message_refs == POSTED


def test_a_message_that_says_that_something_fires_is_set_right_by_what_comes_next() -> None:
    given = told((2, OTHER), before=living(1), earlier=((1, RESOLVED),))

    assert message_of(given).message_refs == POSTED
    assert message_of(given).alerts == (OTHER, RESOLVED)


def test_an_alert_that_fires_again_is_told_once_though_its_end_was_not_heard_of() -> None:
    later = msgspec.structs.replace(FIRING, starts_at=FIRING.starts_at + timedelta(days=1))

    given = told((3, later), before=living(1, 2), earlier=((1, FIRING), (2, OTHER)))

    assert message_of(given).alerts == (later, OTHER)


def test_what_was_resolved_before_is_told_up_to_a_number_and_then_counted() -> None:
    ended = datetime(2026, 11, 24, tzinfo=UTC)
    many = tuple(
        (at, msgspec.structs.replace(RESOLVED, ends_at=ended - timedelta(minutes=at))) for at in range(1, 151)
    )

    given = told((200, FIRING), before=living(*range(1, 151), 200, omitted=3), earlier=many)

    message = message_of(given)
    assert message.alerts == (FIRING, *(one for _, one in many[:MAX_RESOLVED]))
    assert message.omitted == 3 + 50
    assert given.editable is not None
    assert (len(given.editable.alert_ids), given.editable.omitted) == (101, 53)


def test_where_a_message_was_posted_is_kept() -> None:
    assert updated(living(1, message_refs=()), Sent(200, message_refs=("5",))) == living(1, message_refs=("5",))


def test_what_was_posted_before_a_failure_is_kept_so_that_it_is_not_posted_again() -> None:
    failed = Retry(Reason.SERVER_ERROR, "503", message_refs=("5",))

    assert updated(living(1, message_refs=(), ended=True), failed) == living(1, message_refs=("5",))


def test_a_failure_that_posted_nothing_changes_nothing() -> None:
    assert updated(living(1, message_refs=()), Retry(Reason.SERVER_ERROR, "503")) is None
    assert updated(living(1), Rejected(Reason.CLIENT_ERROR, "400", message_refs=POSTED)) is None


def test_a_platform_that_gives_no_reference_is_told_anew_each_time() -> None:
    assert updated(living(1, message_refs=()), Sent(200, message_refs=("",))) is None
