"""Sends malformed requests to `loralift serve`, made by schemathesis from its OpenAPI document; writes benchmarks/results/fuzz-serve.json.

Run: python -m benchmarks.fuzz_serve [--requests 2000], with schemathesis installed (pip install 'loralift[fuzz]'; another environment:
--schemathesis PATH). It ends with 1 if a response has status 500 or above, or the server does not answer afterwards.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BODIES = ("/v1/chat/completions", "/v1/completions")
"""The operations that take a body, among which the requests are divided."""


def run_fuzz(folder: Path, command: str, requests: int) -> dict[str, Any]:
    """Responses by status, and how the server did afterwards."""
    from pipeline.resources import shipped
    from tests import foreign
    from tests.server import Server, read

    adapter = foreign.adapter(folder / "mine", shipped("checkpoints/quickstart-base"))
    server = Server(folder / "log", adapter, "--base=quickstart-base")
    events = folder / "events.ndjson"
    words = [command, "--no-color", "run", f"{server.url}/openapi.json", "--mode=negative", f"--max-examples={requests // len(BODIES)}"]
    words += ["--phases=coverage,fuzzing", "--checks=not_a_server_error", "--continue-on-failure", "--no-shrink", "--seed=1"]
    words += ["--generation-database=none", "--report=ndjson", f"--report-ndjson-path={events}"]
    try:
        ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        health = json.loads(read(f"{server.url}/health"))["status"]
        answer = server.client().chat.completions.create(model="mine", max_tokens=2, messages=[{"role": "user", "content": "It works."}])
    finally:
        code = server.stop()
    statuses = Counter(status for line in events.read_text("utf-8").splitlines() for status in statuses_in(json.loads(line)))
    return {
        "schemathesis": ran.stdout.partition("\n")[0],
        "verdict": next((line.strip() for line in reversed(ran.stdout.splitlines()) if line.strip(" =")), ""),
        "requests": sum(statuses.values()),
        "responses": {str(status): count for status, count in sorted(statuses.items())},
        "health": health,
        "answers": answer.usage.completion_tokens > 0,
        "exit_code": code,
        "tracebacks": server.log.read_text("utf-8").count("Traceback"),
    }


def statuses_in(event: Any) -> list[int]:
    """The statuses of all responses in an event, wherever in it they stand."""
    if isinstance(event, dict):
        own = [event["status_code"]] if isinstance(event.get("status_code"), int) else []
        return own + [status for value in event.values() for status in statuses_in(value)]
    return [status for value in event for status in statuses_in(value)] if isinstance(event, list) else []


def main() -> None:
    from pipeline import machine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--schemathesis", default=shutil.which("schemathesis", path=str(Path(sys.executable).parent)))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    if not arguments.schemathesis:
        sys.exit("schemathesis is not installed here: pip install 'loralift[fuzz]', or name it with --schemathesis PATH")
    with tempfile.TemporaryDirectory() as folder:
        results = run_fuzz(Path(folder), arguments.schemathesis, arguments.requests)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "fuzz-serve.json"
    path.write_text(json.dumps({**machine.environment(), "results": results}, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    print(path)
    if any(int(status) >= 500 for status in results["responses"]) or not results["answers"] or results["tracebacks"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
