"""Measures latency and throughput of a server against the number of its clients and adapters, and prints a table"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from pipeline.commands.bench_options import BenchOptions
from pipeline.errors import ArtifactError
from pipeline.machine import environment
from pipeline.progress import Terminal, say
from pipeline.serving import background, load_client
from pipeline.serving.load_client import LoadResult
from pipeline.serving.server import Capacity, ServedModels

TEXTS = tuple(f"Summarize what happened on day {day}, and say why." for day in range(1, 9))
"""Prompts where no test examples are at hand."""
EXAMPLES = 32
"""Test examples whose prompts are used, at most."""


def measure(models: ServedModels, options: BenchOptions, device: Any) -> list[dict[str, Any]]:
    """A row for every number of adapters, the base alone first, and every number of clients.

    Raises:
        ArtifactError: there is no adapter.
        UserError: as server.serve().
    """
    if not models.adapters:
        raise ArtifactError("nothing to measure: there is no adapter", "Name one, or a recipe whose adapters are trained.")
    adapter_counts, client_counts = options.adapter_counts, options.client_counts
    folders = repeated(models.adapters, max(adapter_counts))
    capacity = Capacity(max(adapter_counts), max(client_counts) + max(adapter_counts), options.max_batch_tokens)
    rows = []
    with background.running(replace(models, adapters=folders), capacity, device) as server:
        for adapters in (0, *adapter_counts):
            ids = list(folders)[:adapters] or [models.base]
            load_client.load(server.url, bodies(models, ids, len(ids), 1), len(ids))  # the adapters are loaded, and the memory is there
            for clients in client_counts:
                say(f"measuring {adapters or 'no'} adapters, {clients} clients")
                requests = bodies(models, ids, clients * options.requests, options.tokens)
                before = server.cpu_seconds()
                result = load_client.load(server.url, requests, clients)
                rows.append(row(adapters, clients, result, server.cpu_seconds() - before))
    return rows


def repeated(adapters: Mapping[str, Path], count: int) -> dict[str, Path]:
    """So many adapters: those there are, in turn, under further ids. What the weights are does not change the time."""
    names = list(adapters)
    rounds = -(-max(count, len(names)) // len(names))
    ids = [(f"{name}~{turn}" if turn else name, adapters[name]) for turn in range(rounds) for name in names]
    return dict(ids[: max(count, 1)])


def bodies(models: ServedModels, ids: Sequence[str], count: int, tokens: int) -> list[dict[str, Any]]:
    """Requests for all models in turn, with prompts of the test examples."""
    examples = [examples.request(index) for examples in models.page.sets for index in range(min(EXAMPLES, len(examples.examples)))]
    prompts = [example["messages"] for example in examples] or [[{"role": "user", "content": text}] for text in TEXTS]
    return [{"model": ids[n % len(ids)], "messages": prompts[n % len(prompts)], "max_tokens": tokens} for n in range(count)]


def row(adapters: int, clients: int, result: LoadResult, cpu_seconds: float) -> dict[str, Any]:
    """The figures of one measurement; times in seconds."""
    tokens = sum(timing.tokens for timing in result.timings)
    return {
        "adapters": adapters,
        "clients": clients,
        "requests": len(result.timings),
        "tokens": tokens,
        "tokens_per_second": round(tokens / result.seconds, 2),
        "first_token": spread([timing.first for timing in result.timings]),
        "request": spread([timing.whole for timing in result.timings]),
        "cpu_ms_per_token": round(1000 * cpu_seconds / max(1, tokens), 2),
        "rows_per_step": round(result.rows_per_step, 2),
        "adapters_in_memory": result.adapters,
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 4), "max": round(max(values), 4)}


def show(out: Terminal, rows: Sequence[Mapping[str, Any]]) -> None:
    """The table, then the throughput with adapters over that of the base alone."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for head in ("adapters", "clients", "tok/s", "first token p50, max", "s/request p50, max", "CPU ms/token", "rows/step"):
        table.add_column(head, justify="right")
    for line in rows:
        first, whole = line["first_token"], line["request"]
        table.add_row(
            str(line["adapters"] or "base"),
            str(line["clients"]),
            f"{line['tokens_per_second']:.1f}",
            f"{first['median']:.2f} s, {first['max']:.2f} s",
            f"{whole['median']:.2f}, {whole['max']:.2f}",
            f"{line['cpu_ms_per_token']:.1f}",
            f"{line['rows_per_step']:.1f}",
        )
    out.print(table)
    clients = max(line["clients"] for line in rows)
    speeds = {line["adapters"]: line["tokens_per_second"] for line in rows if line["clients"] == clients}
    shares = ", ".join(f"{count} adapters {speed / speeds[0]:.2f}" for count, speed in speeds.items() if count)
    out.print(f"tok/s over those of the base alone, {clients} clients: {shares}", soft_wrap=True)


def write(path: Path, models: ServedModels, options: BenchOptions, rows: Sequence[Mapping[str, Any]]) -> None:
    """The results with the machine, the versions, and what was measured."""
    setup = {
        "base": models.base,
        "adapters": list(models.adapters),
        "quantization": models.params["quantization"],
        "compute": models.params["compute"],
        "tokens": options.tokens,
        "requests_per_client": options.requests,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**environment(), "setup": setup, "results": rows}, indent=1, sort_keys=True) + "\n", "utf-8")
    say(f"results: {path}")
