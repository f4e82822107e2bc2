"""Explanations of what became of an alert for a channel, from what is stored about both."""

from collections.abc import Iterator
from typing import Final

import msgspec

from relay.domain.alerts import NO_TIME, Alert, Status
from relay.domain.channel_types import Filters
from relay.domain.evidence import DeliveryFacts, Evidence, ReceiptFacts, VersionFacts, Versions
from relay.domain.history import State
from relay.domain.principals import Tenants, sees
from relay.domain.why import ChannelExplanation, Explanation, Verdict, WebhookExplanation
from relay.route.delivery_outcomes import DeliveryOutcomes
from relay.route.reasons import mismatch

UNDECIDED: Final = frozenset({Verdict.DUPLICATE, Verdict.LATE, Verdict.ABSENT, Verdict.UNKNOWN})
"""Verdicts that explain a channel only if no webhook has another one."""
NO_WEBHOOK: Final = Explanation(verdict=Verdict.UNKNOWN, detail="not known: no webhook with the alert is stored")


class Explainer:
    """Explains one alert to who has the tenants."""

    def __init__(self, evidence: Evidence, tenants: Tenants, tenant_label: str) -> None:
        """`tenant_label` is the label with an alert's tenant."""
        self._evidence = evidence
        self._tenants = tenants
        self._tenant_label = tenant_label
        self._outcomes = DeliveryOutcomes(evidence, tenants)
        self._routed: dict[tuple[str, int, bool, str], Explanation | None] = {}
        self._deliveries: dict[str, dict[int | None, list[DeliveryFacts]]] = {}
        for delivery in evidence.deliveries:
            if delivery.contains and sees(tenants, delivery.tenant_id):
                by_receipt = self._deliveries.setdefault(delivery.channel_id, {})
                by_receipt.setdefault(delivery.receipt_id, []).append(delivery)

    def channel_ids(self) -> list[str]:
        """The channels that could get the alert: of its tenant or of none, and those that had a delivery of it."""
        found = {
            channel_id
            for channel_id, versions in self._evidence.channels.items()
            if any(self._could_get(version) for version in versions.all)
        }
        return sorted(found | self._deliveries.keys())

    def sees(self, channel_id: str) -> bool:
        """Whether the channel exists, or existed, for the tenants."""
        versions = self._evidence.channels.get(channel_id, Versions([]))
        return channel_id in self._deliveries or any(sees(self._tenants, one.tenant_id) for one in versions.all)

    def channel(self, channel_id: str) -> ChannelExplanation:
        """The last message to a channel with the alert, or else what became of it in the last webhook."""
        sent, last, undecided = None, None, None
        delivered = self._deliveries.get(channel_id, {})
        for receipt in reversed(self._evidence.receipts):
            if last is not None and receipt.id not in delivered:
                continue
            found = self._explain(channel_id, receipt)
            if found.verdict in UNDECIDED:
                undecided = undecided or found
                continue
            last = last or found
            if found.message_state is State.DELIVERED:
                sent = found
                break
        shown = sent or last or undecided or NO_WEBHOOK
        if sent is not None and last is not None and last is not sent:
            shown = msgspec.structs.replace(sent, detail=f"{sent.detail}; the last webhook: {last.detail}")
        return ChannelExplanation(
            channel_id=channel_id, channel_name=self._name(channel_id), **msgspec.structs.asdict(shown)
        )

    def webhooks(self, channel_id: str) -> list[WebhookExplanation]:
        """What became of the alert for a channel in each webhook, oldest first."""
        found = [
            WebhookExplanation(
                firing=self._is_firing(receipt),
                sender=receipt.sender,
                **msgspec.structs.asdict(self._explain(channel_id, receipt)),
            )
            for receipt in self._evidence.receipts
        ]
        return sorted([*found, *self._duplicates()], key=lambda one: one.received_at or NO_TIME)

    def _duplicates(self) -> Iterator[WebhookExplanation]:
        receipts = {receipt.id: receipt for receipt in self._evidence.receipts}
        for repeat in self._evidence.repeats:
            yield WebhookExplanation(
                verdict=Verdict.DUPLICATE,
                detail=f"not sent: it repeated the webhook {repeat.receipt_id}",
                received_at=repeat.last_received_at,
                duplicate_of=repeat.receipt_id,
                firing=self._is_firing(receipts[repeat.receipt_id]),
                sender=repeat.sender,
                count=repeat.count,
            )

    def _explain(self, channel_id: str, receipt: ReceiptFacts) -> Explanation:
        """What became of the alert for a channel in one webhook."""
        deliveries = self._deliveries.get(channel_id, {}).get(receipt.id)
        if deliveries:
            found = self._outcomes.outcome(deliveries)
        elif receipt.late:
            found = _not_sent(Verdict.LATE, "another sender had reported the end of the alert before")
        else:
            found = self._by_filters(channel_id, receipt)
        return msgspec.structs.replace(
            found,
            receipt_id=receipt.id,
            received_at=receipt.received_at,
            config_version=found.config_version or receipt.config_version,
        )

    def _by_filters(self, channel_id: str, receipt: ReceiptFacts) -> Explanation:
        """Why a webhook has no delivery to a channel, by the configuration in force then."""
        if receipt.config_version is None:
            return Explanation(
                verdict=Verdict.UNKNOWN,
                detail="not known: the relay did not record its configuration when it received this webhook",
            )
        versions = self._evidence.channels.get(channel_id, Versions([]))
        version = versions.in_force(receipt.config_version, receipt.received_at)
        if version is None or not sees(self._tenants, version.tenant_id):
            return _not_sent(Verdict.ABSENT, "the channel did not exist yet")
        if version.body is None:
            return _not_sent(Verdict.ABSENT, "the channel had been deleted")
        firing = self._is_firing(receipt)
        key = (channel_id, version.number, firing, receipt.source)
        if key not in self._routed:
            self._routed[key] = self._stopped_by(version, receipt.source, firing=firing)
        return self._routed[key] or self._undelivered(receipt)

    def _stopped_by(self, version: VersionFacts, source: str, *, firing: bool) -> Explanation | None:
        """The filter of a version of a channel that excludes the alert; None if it matches."""
        body = dict(version.body or {})
        if version.held:
            body["enabled"] = True
        try:
            filters = msgspec.convert(body, Filters)
        except msgspec.ValidationError as error:
            return Explanation(
                verdict=Verdict.UNKNOWN, detail=f"not known: the channel was stored by another release: {error}"
            )
        found = mismatch(self._alert(firing=firing), filters, self._tenant_label, source)
        if found is None:
            return None
        verdict = Verdict.DISABLED if found.field == "enabled" else Verdict.NOT_MATCHED
        return Explanation(verdict=verdict, detail=f"not sent: {found.past}", filter=found.field)

    def _undelivered(self, receipt: ReceiptFacts) -> Explanation:
        """Why a webhook has no delivery to a channel that it matched."""
        if self._is_firing(receipt):
            return Explanation(
                verdict=Verdict.UNKNOWN, detail="not known: the channel matched, and no delivery is stored"
            )
        for earlier in self._evidence.receipts:
            if earlier.id == receipt.id:
                break
            if not self._is_firing(earlier):
                found = _not_sent(Verdict.DUPLICATE, f"the webhook {earlier.id} had reported the end before")
                return msgspec.structs.replace(found, duplicate_of=earlier.id)
        return _not_sent(Verdict.LATE, "the alert fired again before its end was reported")

    def _could_get(self, version: VersionFacts) -> bool:
        owner = version.tenant_id
        own = owner is None or owner == self._evidence.alert.tenant_id
        return own and version.body is not None and sees(self._tenants, owner)

    def _is_firing(self, receipt: ReceiptFacts) -> bool:
        """Whether the alert fires in a webhook: if it had not been resolved before, or is late."""
        resolved_at = self._evidence.alert.resolved_received_at
        return receipt.late or resolved_at is None or receipt.received_at < resolved_at

    def _alert(self, *, firing: bool) -> Alert:
        return Alert(
            status=Status.FIRING if firing else Status.RESOLVED,
            labels=self._evidence.alert.labels,
            annotations={},
            starts_at=NO_TIME,
            ends_at=None,
            generator_url="",
            fingerprint="",
        )

    def _name(self, channel_id: str) -> str:
        """The last name of a channel that the tenants may know."""
        versions = self._evidence.channels.get(channel_id, Versions([])).all
        return Versions([one for one in versions if sees(self._tenants, one.tenant_id)]).name or channel_id


def _not_sent(verdict: Verdict, reason: str) -> Explanation:
    return Explanation(verdict=verdict, detail=f"not sent: {reason}")
