"""What Prometheus is told of the server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

registry = CollectorRegistry()


inspected = Counter(
    "defectvision_inspections", "Images inspected", ["line", "verdict"], registry=registry
)


requests = Counter(
    "defectvision_requests", "Requests answered", ["method", "status"], registry=registry
)


kept = Gauge("defectvision_batch_images", "Images of all batches", ["state"], registry=registry)


took = Histogram("defectvision_request_seconds", "Time of an answer", registry=registry)
