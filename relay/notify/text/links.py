"""The links of a message: to what an alert or a group comes from, and to what to do about it."""

import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from relay.domain.alerts import Alert, Group
from relay.notify.text.annotations import runbook_url
from relay.notify.text.plain_text import web_url

Links = tuple[tuple[str, str], ...]
"""Texts and URLs."""

MAX_FILTERED: Final = 600
"""Characters of a link to Alertmanager with the group's filter; every platform has room for them."""
_unquotable: Final = re.compile(r"[{}!=~,\\\"'`\s\x85\xa0]")
"""What ends a label's name in the filter of Alertmanager's page, which has no quotes for names."""


def alert_links(alert: Alert) -> Links:
    """The links of an alert: source, dashboard, panel and silence in Grafana, and runbook."""
    urls = [("Source", alert.generator_url)]
    if (grafana := alert.grafana) is not None:
        urls += [("Dashboard", grafana.dashboard_url), ("Panel", grafana.panel_url)]
        urls += [("Silence", grafana.silence_url)] if alert.firing else []
    return _links([*urls, ("Runbook", runbook_url(alert.annotations) or "")])


def group_links(group: Group, limit: int = MAX_FILTERED) -> Links:
    """The link to the group's alerts in Alertmanager; none in Grafana, which has no such page.

    The link is to all alerts of the group's receiver if one with the group's labels is longer than `limit`.
    """
    if any(alert.grafana is not None for alert in group.alerts):
        return ()
    page = f"{group.external_url.rstrip('/')}/#/alerts?"
    # The receiver in a webhook is a regular expression, as is that of the page.
    receiver = f"receiver={quote(group.receiver, safe='')}"
    matchers = _matchers(group.group_labels)
    filtered = f"{page}filter={quote(matchers, safe='')}&{receiver}"
    return _links([("Alertmanager", filtered if matchers and len(filtered) <= limit else page + receiver)])


def _matchers(labels: dict[str, str]) -> str:
    """A filter as Alertmanager's page parses it: `{name="value", name="value"}`, with JSON's escapes in values.

    https://github.com/prometheus/alertmanager/blob/main/ui/app/src/Utils/Filter.elm
    """
    matchers = [
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in labels.items()
        if name and not _unquotable.search(name)
    ]
    return "{" + ", ".join(matchers) + "}" if matchers else ""


def _links(urls: Iterable[tuple[str, str]]) -> Links:
    return tuple([(text, url) for text, given in urls if (url := web_url(given)) is not None])
