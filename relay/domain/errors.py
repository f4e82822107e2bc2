"""The exceptions that the relay raises.

RelayError
├── SettingsError        the environment, a file or a flag is wrong; the process can't start
├── InvalidInput         the caller's input is invalid; names the field
│   └── InvalidWebhook   the body is not an Alertmanager webhook
├── Unauthorized         the credential is missing, unknown, expired or revoked
│   └── UnknownCredential  it may be a guess
├── Forbidden            the principal may not do this
├── NotFound             the resource does not exist
├── Conflict             the resource already exists, or another resource prevents the change
├── Changed              the resource is no longer at the version that the caller requires
├── TooManyRequests      the caller has failed too often; it may retry later
├── Unavailable          Postgres is unavailable or the queue is full; retry later
└── Unreadable           stored data can't be read by this release or with the configured keys
    └── SealBroken       a secret can't be decrypted with the configured keys
"""


class RelayError(Exception):
    """The root. `str(error)` is one line for people and contains no secret."""


class SettingsError(RelayError):
    """The environment, a file or a flag is wrong."""


class InvalidInput(RelayError, ValueError):
    """The caller's input is invalid.

    It is a ValueError so that a msgspec decoder hook may raise it.
    `field` is the path of the invalid field (`severities[0]`), or empty for the whole input.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


class InvalidWebhook(InvalidInput):
    """The body is not an Alertmanager webhook."""


class Unauthorized(RelayError):
    """The credential is missing, unknown, expired or revoked."""


class UnknownCredential(Unauthorized):
    """The credential may be a guess: an unknown key, or a token with an invalid signature."""


class Forbidden(RelayError):
    """The principal may not do this."""


class NotFound(RelayError):
    """The resource does not exist."""


class Conflict(RelayError):
    """The resource already exists, or another resource prevents the change."""


class Changed(RelayError):
    """The resource is no longer at the version that the caller requires."""


class TooManyRequests(RelayError):
    """The caller has failed too often. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(RelayError):
    """Nothing was stored; the same request may succeed later, after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unreadable(RelayError):
    """Stored data can't be read by this release or with the configured keys."""


class SealBroken(Unreadable):
    """A secret can't be decrypted with the configured keys."""
