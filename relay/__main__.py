"""Entry point of `python -m relay` and of the `relay` command."""

import sys


def main() -> None:
    """Run the command line. Without the server extra, print what to install and exit."""
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
