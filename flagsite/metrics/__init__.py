"""What Prometheus reads at /metrics: figures of the engine from the database, requests from all web processes."""
