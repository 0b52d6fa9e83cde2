"""Counts what the server does, for Prometheus."""

from typing import Any

from pipeline.serving.scheduler import Load

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
GAUGES = {
    "running": ("loralift_running_rows", "Rows in the batch."),
    "waiting": ("loralift_waiting_rows", "Rows in the queue."),
    "adapters": ("loralift_resident_adapters", "Adapters in memory."),
}
TOTALS = {
    "adapter_loads": ("loralift_adapter_loads", "Adapters loaded."),
    "evictions": ("loralift_adapter_evictions", "Adapters that left memory for another."),
    "preemptions": ("loralift_preempted_rows", "Rows that were put back into the queue, as the batch had grown beyond its budget."),
}
"""By field of Load: name and meaning."""


class Counters:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self.registry = registry = CollectorRegistry()
        self.requests = Counter("loralift_requests", "Requests by model and status.", ["model", "status"], registry=registry)
        self.prompt_tokens = Counter("loralift_prompt_tokens", "Tokens of prompts.", ["model"], registry=registry)
        self.new_tokens = Counter("loralift_generated_tokens", "Tokens generated, end tokens not counted.", ["model"], registry=registry)
        self.first_token = Histogram("loralift_time_to_first_token_seconds", "From the request on.", buckets=SECONDS, registry=registry)
        self.duration = Histogram("loralift_request_seconds", "From the request to its last token.", buckets=SECONDS, registry=registry)
        self.batch_rows = Histogram("loralift_batch_rows", "Rows of a decoding step.", buckets=ROWS, registry=registry)
        self.load = LoadCounters(registry)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        from prometheus_client import generate_latest

        return bytes(generate_latest(self.registry))


class LoadCounters:
    """Gauges and totals that are read off the scheduler when they are asked for."""

    def __init__(self, registry: Any) -> None:
        from prometheus_client import Counter, Gauge

        self.gauges = {field: Gauge(*words, registry=registry) for field, words in GAUGES.items()}
        self.totals = {field: Counter(*words, registry=registry) for field, words in TOTALS.items()}
        self.before = dict.fromkeys(TOTALS, 0)

    def update(self, load: Load) -> None:
        for field, gauge in self.gauges.items():
            gauge.set(getattr(load, field))
        for field, counter in self.totals.items():
            counter.inc(getattr(load, field) - self.before[field])
            self.before[field] = getattr(load, field)
