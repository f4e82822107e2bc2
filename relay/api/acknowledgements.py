"""Acknowledgements of alerts and of groups."""

from datetime import UTC, datetime

import msgspec
from litestar import Controller, delete, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from relay.api.pages import Id, utc
from relay.api.transactions import run_in_transaction
from relay.domain.acknowledgements import (
    Acknowledgement,
    GroupOfAlerts,
    NewAcknowledgement,
    new_acknowledgement,
)
from relay.domain.fields import require_storable
from relay.domain.principals import Access
from relay.store.configuration.quotas import Caller
from relay.store.postgres.database import Database
from relay.store.reports import acknowledgements


class AcknowledgeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note for others, and when the acknowledgement ends; without `until` it ends with the alert."""

    comment: str = ""
    until: datetime | None = None


class GroupRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group. Null `source`: of all sources. `tenant_id` restricts it to the alerts of one tenant."""

    group_key: str
    source: str | None = None
    tenant_id: str | None = None


class AcknowledgeGroupRequest(GroupRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group, and what is said of its alerts, as for one alert."""

    comment: str = ""
    until: datetime | None = None


class AcknowledgedGroup(msgspec.Struct, frozen=True):
    """The alerts that are acknowledged now, and how many these are."""

    acknowledged: int
    alert_ids: list[int]


class WithdrawnGroup(msgspec.Struct, frozen=True):
    """The alerts that are no longer acknowledged, and how many these are."""

    withdrawn: int
    alert_ids: list[int]


class AlertAcknowledgementController(Controller):
    """The acknowledgement of an alert: who takes care of it."""

    path = "/history/{alert_id:int}/acknowledge"
    tags = ("history",)

    @post(status_code=200, access=Access.CHANGE)
    async def acknowledge(
        self,
        alert_id: Id,
        database: NamedDependency[Database],
        caller: NamedDependency[Caller],
        data: JSONBody[AcknowledgeRequest | None] = None,
    ) -> Acknowledgement:
        """Acknowledge an alert that fires, in place of its former acknowledgement.

        It still fires, and its notifications are suppressed until it ends, or until `until` (at most a year
        ahead).
        """
        new = _new(data or AcknowledgeRequest())

        async def write(connection: AsyncConnection) -> Acknowledgement:
            return await acknowledgements.acknowledge(connection, alert_id, new, caller)

        return await run_in_transaction(database, write)

    @delete(access=Access.CHANGE)
    async def withdraw(
        self, alert_id: Id, database: NamedDependency[Database], caller: NamedDependency[Caller]
    ) -> None:
        """Withdraw the acknowledgement of an alert. What it suppressed is sent if the alert still fires."""
        await run_in_transaction(
            database, lambda connection: acknowledgements.withdraw(connection, alert_id, caller)
        )


class GroupAcknowledgementsController(Controller):
    """Acknowledgements of all alerts of a group that fire."""

    path = "/groups/acknowledge"
    tags = ("history",)

    @post(status_code=200, access=Access.CHANGE)
    async def acknowledge(
        self,
        data: JSONBody[AcknowledgeGroupRequest],
        database: NamedDependency[Database],
        caller: NamedDependency[Caller],
    ) -> AcknowledgedGroup:
        """Acknowledge the alerts of a group that fire; one that joins the group later is not acknowledged."""
        group, new = _group(data), _new(data)

        async def write(connection: AsyncConnection) -> AcknowledgedGroup:
            found = await acknowledgements.acknowledge_group(connection, group, new, caller)
            return AcknowledgedGroup(len(found), found)

        return await run_in_transaction(database, write)

    @delete(status_code=200, access=Access.CHANGE)
    async def withdraw(
        self, data: JSONBody[GroupRequest], database: NamedDependency[Database], caller: NamedDependency[Caller]
    ) -> WithdrawnGroup:
        """Withdraw the acknowledgements of a group's alerts. The body names the group."""
        group = _group(data)

        async def write(connection: AsyncConnection) -> WithdrawnGroup:
            found = await acknowledgements.withdraw_group(connection, group, caller)
            return WithdrawnGroup(len(found), found)

        return await run_in_transaction(database, write)


def _new(data: AcknowledgeRequest | AcknowledgeGroupRequest) -> NewAcknowledgement:
    return new_acknowledgement(data.comment, utc("until", data.until), datetime.now(UTC))


def _group(data: GroupRequest) -> GroupOfAlerts:
    for name in ("group_key", "source", "tenant_id"):
        require_storable(getattr(data, name), name)
    return GroupOfAlerts(group_key=data.group_key, source=data.source, tenant_id=data.tenant_id)
