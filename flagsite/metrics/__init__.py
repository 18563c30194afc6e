"""Metrics for Prometheus: figures about jobs from the database, and requests from all web processes of a server."""
