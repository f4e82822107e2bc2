"""Fixtures of the platforms whose messages are edited."""

import pytest

from tests.fixtures.editing import EDITING_TYPES, EditingPlatforms
from tests.fixtures.sink import Sink
from tests.notify.strict.platform import StrictPlatform


# What differs between the platforms is covered by fast tests of their notifiers.
@pytest.fixture(
    params=[
        EDITING_TYPES[0],
        *(pytest.param(channel_class, marks=pytest.mark.slow) for channel_class in EDITING_TYPES[1:]),
    ]
)
def channel_type(request: pytest.FixtureRequest) -> str:
    """Each channel type whose messages can be edited."""
    channel_type: str = request.param
    return channel_type


@pytest.fixture
def strict_platform(channel_type: str, sink: Sink) -> StrictPlatform:
    """The platform of the channel type, behind the sink."""
    sink.script = script = EditingPlatforms()
    return script.platforms[channel_type]
