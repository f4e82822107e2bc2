"""Groups whose tenant the key of their webhook forces."""

import msgspec

from relay.domain.alerts import Group
from relay.domain.identity import tenant_of_source


def with_forced_tenant(group: Group, source: str, tenant_label: str) -> Group:
    """Return a group as it is routed, stored and shown: a forced tenant replaces that of its labels.

    `source` is the stored one, which names a forced tenant.
    """
    tenant = tenant_of_source(source)
    if tenant is None:
        return group
    label = {tenant_label: tenant}
    return msgspec.structs.replace(
        group,
        alerts=tuple([msgspec.structs.replace(alert, labels=alert.labels | label) for alert in group.alerts]),
        common_labels=group.common_labels | label,
        group_labels=group.group_labels | label if tenant_label in group.group_labels else group.group_labels,
    )
