"""What must hold for any history, stated without the model's rules."""

from collections import Counter
from collections.abc import Sequence

from tests.model.webhooks import History, Report, Webhook

Outcome = tuple[bool, Sequence[int], Sequence[int]]
"""What the relay did with a webhook: whether it is a duplicate, the occurrences, and the delivered positions."""
Series = tuple[str, str]


def violations(
    history: History, outcomes: Sequence[Outcome], open_occurrences: Sequence[tuple[Series, int]]
) -> list[str]:
    """Check the outcomes of a history's webhooks, and the occurrences that are open at its end."""
    found = [
        f"{count} open occurrences of {series}"
        for series, count in Counter(series for series, _ in open_occurrences).items()
        if count > 1
    ]
    found += _deliveries(history, outcomes)
    if history.realistic:
        resolved = _resolved_by_all(history)
        found += [f"{series} is left firing" for series, _ in open_occurrences if series in resolved]
        found += _shown(history, outcomes, resolved)
    return found


def _shown(history: History, outcomes: Sequence[Outcome], resolved: set[Series]) -> list[str]:
    """The last message of a group shows no alert as firing that its senders have resolved.

    Only for alerts in one group: while another group has opened a newer occurrence, no older resolve is sent.
    """
    last: dict[tuple[Series, str], tuple[int, bool]] = {}
    sent: dict[tuple[Series, str], bool] = {}
    for webhook, (_, _, delivered) in zip(history.webhooks, outcomes, strict=True):
        for position, report in enumerate(webhook.reports):
            key = ((webhook.source, report.alert), webhook.group)
            if webhook.sent_at >= last.get(key, (0, False))[0]:
                last[key] = (webhook.sent_at, report.firing)
            if position in delivered:
                sent[key] = report.firing
    return [
        f"{key} is shown as firing"
        for key, firing in sent.items()
        if firing and not last[key][1] and key[0] in resolved and sum(key[0] == one for one, _ in last) == 1
    ]


def _deliveries(history: History, outcomes: Sequence[Outcome]) -> list[str]:
    """No resolve of an occurrence is sent twice for a group, and none before a firing of it."""
    found = []
    resolved: set[tuple[str, str, int]] = set()
    for webhook, (_, occurrences, delivered) in zip(history.webhooks, outcomes, strict=True):
        for position in delivered:
            key = (webhook.source, webhook.group, occurrences[position])
            if webhook.reports[position].firing:
                if key in resolved:
                    found.append(
                        f"at {webhook.at}: {webhook.reports[position].alert} fires after its resolve was sent"
                    )
            elif key in resolved:
                found.append(f"at {webhook.at}: the resolve of {webhook.reports[position].alert} is sent again")
            else:
                resolved.add(key)
    return found


def _resolved_by_all(history: History) -> set[Series]:
    """The series of which the last state that any sender reported, by the time of sending, is resolved.

    An alert that began at the very second of that end may have fired again.
    """
    last: dict[Series, tuple[Webhook, Report]] = {}
    newest_start: dict[Series, int] = {}
    for webhook in history.webhooks:
        for report in webhook.reports:
            series = (webhook.source, report.alert)
            if series not in last or webhook.sent_at >= last[series][0].sent_at:
                last[series] = (webhook, report)
            if report.firing:
                newest_start[series] = max(newest_start.get(series, 0), report.starts_at)
    return {
        series
        for series, (_, report) in last.items()
        if report.ends_at is not None and newest_start.get(series, 0) < report.ends_at
    }
