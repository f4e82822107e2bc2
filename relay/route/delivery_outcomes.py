"""What became of the deliveries of an alert: sent, merged, waiting, suppressed or dead, with the reason."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from relay.domain.evidence import DeliveryFacts, Evidence
from relay.domain.history import Kind, State
from relay.domain.principals import Tenants, sees
from relay.domain.recurrence import window_at
from relay.domain.silences import Silence
from relay.domain.suppression import ACKNOWLEDGED, SILENCE
from relay.domain.why import Explanation, Suppressor, Verdict

MAX_ERROR: Final = 200
"""Characters of an error in a sentence."""
VERDICTS: Final[Mapping[State, Verdict]] = {
    State.DELIVERED: Verdict.SENT,
    State.SENDING: Verdict.SENDING,
    State.PENDING: Verdict.PENDING,
    State.MERGED: Verdict.MERGED,
    State.SUPPRESSED: Verdict.SUPPRESSED,
    State.DEAD: Verdict.DEAD,
}
"""The verdicts of deliveries, in the order in which one of several is chosen."""
_ORDER: Final = list(VERDICTS)


class DeliveryOutcomes:
    """Explains deliveries of one alert to who has the tenants."""

    def __init__(self, evidence: Evidence, tenants: Tenants) -> None:
        """Index the deliveries by their ids."""
        self._evidence = evidence
        self._tenants = tenants
        self._by_id = {delivery.id: delivery for delivery in evidence.deliveries}

    def outcome(self, deliveries: Sequence[DeliveryFacts]) -> Explanation:
        """What became of an alert by the deliveries that one webhook queued for it and one channel."""
        with_alert = [delivery for delivery in deliveries if not delivery.omits] or deliveries
        ends = {delivery.id: self._end(delivery) for delivery in with_alert}
        chosen = min(with_alert, key=lambda one: _place(one, ends[one.id]))
        end = ends[chosen.id]
        if end.omits or end.state is State.SUPPRESSED:
            return self._suppressed(chosen, end)
        verdict = VERDICTS[chosen.state]
        detail = _sentence(end)
        if chosen.state is State.MERGED:
            detail = f"merged into the delivery {end.id}{self._fallback(chosen, end)}, which {_clause(end)}"
        return Explanation(
            verdict=verdict,
            detail=detail,
            config_version=chosen.config_version,
            suppressed_by=self._suppressors(chosen),
            at=end.delivered_at,
            fallback_of=end.fallback_of,
            delivery_id=chosen.id,
            message_id=end.id,
            message_state=end.state,
            attempts=end.attempts,
        )

    def _end(self, delivery: DeliveryFacts) -> DeliveryFacts:
        """The delivery in whose message a delivery is, itself if it was not merged."""
        while delivery.merged_into is not None and (after := self._by_id.get(delivery.merged_into)) is not None:
            delivery = after
        return delivery

    def _suppressed(self, chosen: DeliveryFacts, end: DeliveryFacts) -> Explanation:
        """An alert that is in no message: suppressed, or resolved before what suppressed it had ended."""
        row = self._suppressed_row(chosen, end)
        found = self._suppressors(row)
        detail = f"not sent: {' and '.join(map(_by, found)) or 'what suppressed it is not recorded'}"
        if row.state is State.MERGED:
            detail += "; the alert was resolved before that ended"
        return Explanation(
            verdict=Verdict.SUPPRESSED,
            detail=detail,
            config_version=row.config_version,
            suppressed_by=found,
            at=row.created_at,
            delivery_id=row.id,
        )

    def _suppressed_row(self, chosen: DeliveryFacts, end: DeliveryFacts) -> DeliveryFacts:
        """The delivery that says what suppressed the alert of a delivery, or of the message that omits it."""
        rows = [one for one in self._evidence.deliveries if one.suppressed_by and one.channel_id == end.channel_id]
        for candidate in (chosen, end):
            if candidate.suppressed_by:
                return candidate
        same = [one for one in rows if one.receipt_id in (end.receipt_id, chosen.receipt_id)]
        return (same or rows or [chosen])[-1]

    def _suppressors(self, delivery: DeliveryFacts) -> tuple[Suppressor, ...]:
        """What suppressed the alert in a delivery, as it was then."""
        found = []
        for name in delivery.suppressed_by:
            if name.startswith(SILENCE):
                found.append(self._silence(name.removeprefix(SILENCE), delivery))
            elif name.startswith(ACKNOWLEDGED):
                found.append(self._acknowledgement(name.removeprefix(ACKNOWLEDGED), delivery.created_at))
        return tuple(found)

    def _silence(self, silence_id: str, delivery: DeliveryFacts) -> Suppressor:
        versions = self._evidence.silences.get(silence_id)
        version = None if versions is None else versions.in_force(delivery.config_version, delivery.created_at)
        if version is None or version.body is None:
            return Suppressor(kind="silence", id=silence_id, comment=None, created_by=None, since=None)
        silence = msgspec.convert(version.body | {"id": silence_id}, Silence)
        window = window_at(silence, delivery.created_at)
        visible = sees(self._tenants, version.tenant_id)
        return Suppressor(
            kind="silence",
            id=silence_id,
            comment=silence.comment if visible else None,
            created_by=silence.created_by if visible else None,
            since=silence.starts_at if window is None else window[0],
        )

    def _acknowledgement(self, alert_id: str, at: datetime) -> Suppressor:
        # A delivery may have waited since before its alert was acknowledged.
        found = [one for one in self._evidence.acknowledgements if one.created_at <= at]
        last = next(iter(found[-1:] or self._evidence.acknowledgements), None)
        return Suppressor(
            kind="acknowledgement",
            id=alert_id,
            comment=None if last is None else last.comment,
            created_by=None if last is None else last.author_name,
            since=None if last is None else last.created_at,
        )

    def _fallback(self, delivery: DeliveryFacts, end: DeliveryFacts) -> str:
        if end.channel_id == delivery.channel_id:
            return ""
        shown = sees(self._tenants, end.tenant_id)
        return f" of the fallback channel {end.channel_id}" if shown else " of the fallback channel"


def _place(delivery: DeliveryFacts, end: DeliveryFacts) -> tuple[int, bool, int]:
    """The place of a delivery among those of one webhook: a release after what it releases."""
    return _ORDER.index(end.state), delivery.kind is Kind.RELEASE, -delivery.id


def _sentence(delivery: DeliveryFacts) -> str:
    """What became of a delivery, as a sentence without its subject."""
    match delivery.state:
        case State.DELIVERED:
            text = f"sent at {shown(delivery.delivered_at)}"
            if delivery.kind is Kind.RELEASE:
                text += ", after what suppressed it had ended"
            return text + (" in place of another channel" if delivery.fallback_of is not None else "")
        case State.DEAD:
            return f"not sent: {_error(delivery)}"
        case _:
            return _clause(delivery)


def _clause(delivery: DeliveryFacts) -> str:
    """What became of a delivery, as a relative clause without its pronoun."""
    match delivery.state:
        case State.DELIVERED:
            return f"was {_sentence(delivery)}"
        case State.SENDING:
            return "is being sent"
        case State.PENDING:
            last = f"; the last attempt failed: {_error(delivery)}" if delivery.attempts else ""
            return f"waits to be sent{last}"
        case State.DEAD:
            return f"was not sent: {_error(delivery)}"
        case _:
            return "has no message"


def _error(delivery: DeliveryFacts) -> str:
    text = " ".join((delivery.last_error or delivery.last_reason or "no reason is recorded").split())
    return text if len(text) <= MAX_ERROR else text[: MAX_ERROR - 1] + "…"


def _by(suppressor: Suppressor) -> str:
    verb = "silenced" if suppressor.kind == "silence" else "acknowledged"
    who = f" by {suppressor.created_by}" if suppressor.created_by else ""
    comment = f" ({suppressor.comment})" if suppressor.comment else ""
    since = f" since {shown(suppressor.since)}" if suppressor.since else ""
    return f"{verb}{who}{since}{comment}"


def shown(moment: datetime | None) -> str:
    """A time in a sentence."""
    return "an unknown time" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
