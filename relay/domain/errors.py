"""Which errors does the relay raise itself?

RelayError
├── SettingsError        the environment, a file or a flag is wrong; the process can't start
├── InvalidInput         what a caller sent is wrong; names the field
│   └── InvalidWebhook   a body that is no Alertmanager webhook
├── NotFound             no such resource
├── Conflict             the resource exists already, or is in the way
├── Unavailable          Postgres is away, or too much waits: try again
└── Unreadable           something stored can't be read by this release, or with its keys
    └── SealBroken       a sealed secret can't be opened with the keys at hand
"""


class RelayError(Exception):
    """The root. `str(error)` is one line for people and holds no secret."""


class SettingsError(RelayError):
    """The environment, a file or a flag is wrong."""


class InvalidInput(RelayError, ValueError):
    """What a caller sent is wrong.

    It is a ValueError so that a decoder may raise it from within.
    `field` is the path of the offending field (`severities[0]`), or empty for the whole.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


class InvalidWebhook(InvalidInput):
    """The body is no Alertmanager webhook."""


class NotFound(RelayError):
    """There is no such resource."""


class Conflict(RelayError):
    """The resource exists already, or something is in the way."""


class Unavailable(RelayError):
    """Nothing was stored; the same request may succeed later."""


class Unreadable(RelayError):
    """Something stored can't be read by this release, or with its keys."""


class SealBroken(Unreadable):
    """A sealed secret can't be opened with the keys at hand."""
