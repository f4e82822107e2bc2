"""`relay secret`: generate keys."""

from typing import Annotated

from cyclopts import Parameter


def secret(
    *,
    webhook: Annotated[
        bool, Parameter(negative="", help="Generate a `signing_secret` for a webhook instead.")
    ] = False,
) -> None:
    """Generate and print a random key for RELAY_SECRET_KEY."""
    from relay.notify.signing import new_signing_secret
    from relay.store.configuration.seal import new_key

    print(new_signing_secret() if webhook else new_key())
