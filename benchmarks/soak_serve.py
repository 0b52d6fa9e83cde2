"""Soaks `loralift serve` with clients whose adapters come and go; writes benchmarks/results/soak-serve-cpu.json.

Run: python -m benchmarks.soak_serve [--seconds 600] [--clients 8]. The base of the quickstart answers with eight random adapters, of
several ranks and kinds, of which three fit into memory; every few seconds other models are in use. Each answer must be what its model
answered when it was asked alone. Some clients leave in the middle of a stream, and some requests are refused, as they must be. The growth
of the server's memory is the median of the last tenth over that of the first tenth after a warm-up of a tenth.
"""

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BASE = "quickstart-base"
IN_MEMORY, IN_USE, ADAPTERS, TOKENS = 3, 4, 8, 32
KINDS: tuple[dict[str, Any], ...] = ({}, {"target_modules": ["q_proj", "v_proj"]}, {"use_rslora": True})
WORDS = "the lamp broke at once and nobody could say why it had been sold as new in the first place".split()
PROMPTS = [f"Review: {' '.join(WORDS[: 2 + 4 * number])}.\nSentiment:" for number in range(5)]
PHASE_SECONDS = 5.0
"""How long the same models are in use."""
ACTIONS = ("whole", "stream", "two answers", "left early", "unknown model", "too long")
WEIGHTS = (40, 40, 8, 6, 3, 3)


@dataclass
class Soak:
    """A server with what its models answer alone, and what came of the clients."""

    server: Any
    models: list[str]
    answers: dict[tuple[str, str], str] = field(default_factory=dict)
    """By model and prompt."""
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """What no request should have met: wrong answers and errors that nobody provoked."""
    resident_bytes: list[int] = field(default_factory=list)
    """Of the server, twice a second."""

    def ask_alone(self) -> None:
        client = self.server.client()
        for model in self.models:
            for prompt in PROMPTS:
                self.answers[model, prompt] = whole(client, model, prompt).choices[0].text

    def run(self, seconds: float, clients: int) -> None:
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self.client, args=(number, end)) for number in range(clients)]
        threads.append(threading.Thread(target=self.sample_memory, args=(end,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def client(self, number: int, end: float) -> None:
        """One client: requests of all kinds for the models in use, until the end."""
        chance, client = random.Random(number), self.server.client()
        while time.monotonic() < end:
            action = chance.choices(ACTIONS, WEIGHTS)[0]
            model, prompt = chance.choice(self.in_use()), chance.choice(PROMPTS)
            try:
                fault = self.act(action, client, model, prompt)
            except Exception as error:
                fault = f"{type(error).__name__}: {error}"
            self.counts[action] += 1
            if fault:
                self.faults.append(f"{action}, {model}: {fault[:200]}")

    def in_use(self) -> list[str]:
        """The models of this phase: others every few seconds, the same for all clients."""
        return random.Random(int(time.monotonic() / PHASE_SECONDS)).sample(self.models, IN_USE)

    def act(self, action: str, client: Any, model: str, prompt: str) -> str:
        """What is wrong with one request and its answer; empty where nothing is."""
        import openai

        expected = self.answers[model, prompt]
        try:
            if action == "unknown model":
                whole(client, "nobody", prompt)
            elif action == "too long":
                whole(client, model, prompt * 40)
            elif action == "left early":
                with client.completions.create(model=model, prompt=prompt, max_tokens=TOKENS, stream=True) as stream:
                    next(iter(stream))
                return ""
            elif action == "stream":
                stream = client.completions.create(model=model, prompt=prompt, max_tokens=TOKENS, stream=True)
                return difference(expected, "".join(chunk.choices[0].text for chunk in stream))
            else:
                choices = whole(client, model, prompt, n=2 if action == "two answers" else 1).choices
                return next(filter(None, (difference(expected, choice.text) for choice in choices)), "")
        except openai.NotFoundError:
            return "" if action == "unknown model" else "not found"
        except openai.BadRequestError as error:
            return "" if action == "too long" else str(error)
        return "it was answered"

    def sample_memory(self, end: float) -> None:
        import psutil

        process = psutil.Process(self.server.process.pid)
        while time.monotonic() < end:
            self.resident_bytes.append(process.memory_info().rss)
            time.sleep(0.5)

    def growth(self) -> float:
        """Of the resident memory, after the warm-up."""
        tenth = max(1, len(self.resident_bytes) // 10)
        return statistics.median(self.resident_bytes[-tenth:]) / statistics.median(self.resident_bytes[tenth : 2 * tenth]) - 1


def whole(client: Any, model: str, prompt: str, **options: Any) -> Any:
    return client.completions.create(model=model, prompt=prompt, max_tokens=TOKENS, **options)


def difference(expected: str, text: str) -> str:
    return "" if text == expected else f"{text!r} in place of {expected!r}"


def run_soak(folder: Path, seconds: float, clients: int) -> dict[str, Any]:
    """The results of a soak; files go into a folder."""
    from pipeline.resources import shipped
    from tests import foreign
    from tests.server import Server

    base = shipped(f"checkpoints/{BASE}")
    adapters = [foreign.adapter(folder / f"a{n}", base, n, r=2 ** (1 + n % 4), **KINDS[n % len(KINDS)]) for n in range(ADAPTERS)]
    server = Server(folder / "log", *adapters, f"--base={BASE}", f"--max-adapters={IN_MEMORY}", "generate.compute=fp32")
    try:
        soak = Soak(server, [BASE, *(adapter.name for adapter in adapters)])
        soak.ask_alone()
        soak.run(seconds, clients)
        results = summary(soak, seconds, clients)
    finally:
        code = server.stop()
    return {**results, "exit_code": code, "tracebacks": server.log.read_text("utf-8").count("Traceback")}


def summary(soak: Soak, seconds: float, clients: int) -> dict[str, Any]:
    mebibytes = [size / 2**20 for size in soak.resident_bytes]
    metric = soak.server.metric
    return {
        "seconds": seconds,
        "clients": clients,
        "requests": dict(soak.counts),
        "different_answers": len(set(soak.answers.values())),
        "faults": soak.faults[:20],
        "fault_count": len(soak.faults),
        "adapter_loads": int(metric("loralift_adapter_loads_total")),
        "evictions": int(metric("loralift_adapter_evictions_total")),
        "rows_per_step": round(metric("loralift_batch_rows_sum") / metric("loralift_batch_rows_count"), 2),
        "resident_mib": {"first": round(mebibytes[0]), "highest": round(max(mebibytes)), "last": round(mebibytes[-1])},
        "growth_after_warm_up": round(soak.growth(), 4),
    }


def main() -> None:
    from pipeline import machine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = run_soak(Path(folder), arguments.seconds, arguments.clients)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "soak-serve-cpu.json"
    path.write_text(json.dumps({**machine.environment(), "results": results}, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    print(path)


if __name__ == "__main__":
    main()
