"""Where does a key for RELAY_SECRET_KEY come from?"""


def secret() -> None:
    """Print a new random key, as RELAY_SECRET_KEY wants it."""
    from relay.store.seal import new_key

    print(new_key())
