"""python -m relay, and the `relay` command."""

import sys


def main() -> None:
    """Run the command line; without the server extra, say in one line what to install."""
    try:
        from relay.cli import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "relay":
            raise
        sys.exit(
            f"relay: {error.name} is not installed; the service needs: pip install 'alert-relay[server,embedded]'"
        )
    run()


if __name__ == "__main__":
    main()
