"""The connection to Postgres, migrations, the embedded server and the notification listener."""
