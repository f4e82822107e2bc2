"""The fixtures that all rooms share."""

pytest_plugins = [
    "tests.fixtures.postgres",
    "tests.fixtures.sink",
    "tests.fixtures.relays",
    "tests.fixtures.platforms",
]
