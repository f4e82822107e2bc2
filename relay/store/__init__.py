"""③ Postgres: tables, queries, notifications, encrypted secrets, the embedded server.

Functions take a connection and never commit; transactions are opened by receive, deliver and the API.
"""
