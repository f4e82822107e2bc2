"""Alert Relay: durable alert delivery between Prometheus Alertmanager and people.

The way of an alert is the way through the folders: receive, route, store, deliver, notify.
This module imports nothing, so that an application can use relay.middleware without the service.
"""
