"""Previews of messages."""

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from relay.api.channel_bodies import ChannelPatch
from relay.domain.principals import Access, Principal
from relay.operations import preview
from relay.operations.context import OperationContext
from relay.operations.preview import PreviewResult


class PreviewBody(preview.PreviewRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    __doc__ = preview.PreviewRequest.__doc__

    channel: ChannelPatch | None = None


class PreviewController(Controller):
    """Dry runs of sending."""

    path = "/preview"
    tags = ("channels",)

    @post(status_code=200, access=Access.READ)
    async def preview(
        self,
        data: JSONBody[PreviewBody],
        operations: NamedDependency[OperationContext],
        principal: NamedDependency[Principal],
    ) -> PreviewResult:
        """Show the requests that a channel would be sent, byte for byte except for masked secrets and times.

        A group is filtered as in routing: alerts that the channel does not match are listed in `unmatched` with
        the reason, and without any match there is no request. The requests contain the text `preview` in place of
        the delivery's id; if the channel edits its messages, the result is the first message of a group. With
        `delivery_id` the result is the message of that delivery, with its id; a message that was already sent is
        edited. Samples are not filtered.
        """
        if data.channel is not None:
            data = msgspec.structs.replace(data, channel=data.channel.writable())
        return await preview.preview(operations, data, principal)
