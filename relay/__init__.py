"""Alert Relay: durable alert delivery between Prometheus Alertmanager and people.

An alert passes through the packages receive, route, store, deliver and notify, in this order.
This module imports nothing, so that an application can use relay.middleware without the service.
"""
