"""Where do keys come from: for RELAY_SECRET_KEY, and for a webhook that signs?"""

from typing import Annotated

from cyclopts import Parameter


def secret(
    *,
    webhook: Annotated[bool, Parameter(negative="", help="A `signing_secret` for a webhook instead.")] = False,
) -> None:
    """Print a new random key, as RELAY_SECRET_KEY wants it."""
    from relay.notify.signing import new_signing_secret
    from relay.store.configuration.seal import new_key

    print(new_signing_secret() if webhook else new_key())
