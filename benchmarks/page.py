"""Times a large page: building it, opening it in Chromium, using its ledger, verifying it; writes benchmarks/results/page-cpu.json.

Run: python -m benchmarks.page [--examples 5000] [--openings 5] [--out FOLDER]. One free-text task, six arms. Rows, adapters and answers
are invented; the examples are prepared, scored and reported by the stages themselves, so that `loralift verify` can work out the page
again. An opening starts a browser of its own with an empty profile; the file is in the system's cache. Times in the page are its own
clock's and end when what was asked for is painted: `listed` from the start of the navigation to the first examples, `usable` that and
the first search behind it. A search holds the 150 ms that the page waits for the typing to end. A longest task of 0 is one of at most
50 ms; the gap between two frames is 16.7 ms at best.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pipeline import machine
from pipeline.commands import call as calls
from pipeline.config import recipe
from pipeline.engine import training_state
from pipeline.machine import Machine
from pipeline.planning import plan as plans
from pipeline.planning.job import Job
from pipeline.runner import Site, artifact_spec, make
from pipeline.store import records
from pipeline.store.artifact import Artifact
from pipeline.store.folders import AdapterFolder, PredictionsFolder
from pipeline.store.records import Example, Prediction
from tests import browser, report_answers, report_measures

HERE = Path(__file__).parent
SKILL = {"base": 0.35, "base_fewshot": 0.5, "tuned": 0.8, "base_bf16": 0.36, "merged": 0.79, "shuffled_labels": 0.2}
"""The share of the target's words that an arm's answers have."""
TRAIN_EXAMPLES = 40
"""Training examples; the page shows none."""
OBSERVER = """
window.bench = { ready: null, long: [] };
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) bench.long.push(task.duration);
}).observe({ type: "longtask", buffered: true });
bench.painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))));
new MutationObserver(() => {
  if (document.documentElement?.dataset.ready) bench.ready ??= bench.painted();
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-ready"] });
"""
"""Runs before the page's own scripts: records when its list is usable, and every task of more than 50 ms."""
INTERACT = """async ([kind, selector, value]) => {
  const found = document.getElementById("found"), start = performance.now();
  const answered = new Promise((done, fail) => {
    new MutationObserver(done).observe(found, { childList: true });
    setTimeout(() => fail(new Error(`no answer to ${kind} ${selector}${value} in 60 s`)), 60000);
  });
  if (kind === "hash") location.hash = value;
  else {
    const control = document.querySelector(selector);
    if (kind === "click") control.click();
    else { control.value = value; control.dispatchEvent(new Event(kind, { bubbles: true })); }
  }
  await answered;
  return [(await bench.painted() - start) / 1000, found.textContent];
}"""
"""Changes one control of the ledger; returns the seconds until the result is painted, and the line that counts it."""
SCROLL = """async ([step, most]) => {
  const page = document.documentElement, frames = [];
  window.scrollTo({ top: 0, behavior: "instant" });
  bench.long = [];
  let last = await bench.painted();
  while (frames.length < most && page.scrollTop + page.clientHeight < page.scrollHeight - 1) {
    window.scrollBy({ top: step, behavior: "instant" });
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  await bench.painted();
  return { frames, long: bench.long, height: page.scrollHeight };
}"""
"""Scrolls from top to bottom; returns the milliseconds between frames and of long tasks."""
PIXELS_PER_FRAME = 150
"""9,000 pixels/s at 60 frames/s, faster than a mouse wheel."""
MAX_FRAMES = 900


def words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(report_answers.WORDS, k=count))


def write_rows(path: Path, count: int, chance: random.Random) -> Path:
    """Write rows with a passage of 60 words and a title of 14."""
    rows = [{"passage": f"No. {number}: {words(chance, 60)}.", "title": f"{words(chance, 13)} {number}"} for number in range(count)]
    records.write_dictionaries(path, rows)
    return path


def build_recipe(root: Path, examples: int) -> recipe.Recipe:
    chance = random.Random(0)
    data = {"train": write_rows(root / "train.jsonl", TRAIN_EXAMPLES, chance), "heldout": write_rows(root / "test.jsonl", examples, chance)}
    task = {"name": "titles", "data": {name: str(path) for name, path in data.items()}, "prompt": "{passage}\nTitle:", "target": "{title}"}
    return recipe.build(
        {
            "name": "large-page", "base": "quickstart-base",
            "tasks": [{**task, "metrics": ["rougeL"], "grounded": True, "max_new_tokens": 32}],
            "prepare": {"train_examples": TRAIN_EXAMPLES, "dev_examples": 0, "heldout_examples": examples, "near_duplicates": 1.0},
            "compare": {"arms": list(SKILL), "relevance_examples": 0, "speed_prompts": 0}, "general": {"suites": []},
        }
    )  # fmt: skip


def invented_prediction(example: Example, arm: str) -> Prediction:
    """An answer with the arm's share of the target's words; some are empty, some truncated."""
    chance = random.Random(f"{example.id}{arm}")
    text = " ".join(word if chance.random() < SKILL[arm] else chance.choice(report_answers.WORDS) for word in example.target.split())
    odd = chance.random()
    return Prediction(example.id, "" if odd < 0.02 else text, 20, "length" if odd > 0.95 else "eos")


def arm_of(job: Job) -> str:
    """The arm of a generate job, by the end of its label."""
    name = job.label.rpartition("--")[2]
    return name if name in SKILL else "tuned"


def seal_invented(job: Job, inputs: dict[str, Artifact], site: Site) -> Artifact:
    """Seal a folder with invented content instead of training or generating."""
    spec = artifact_spec(job, inputs)
    provenance = {"seconds": 1.0, "at": "2026-01-01T00:00:00Z", **machine.provenance(site.machine)}
    with site.store.scratch(spec) as out:
        facts = write_adapter(job, out) if job.stage == "finetune" else write_predictions(job, inputs, out)
        return site.store.seal(spec, out, facts, provenance, {name: source.path.name for name, source in inputs.items()})


def write_adapter(job: Job, out: Path) -> dict[str, Any]:
    """Write the files of an adapter that the report reads; returns its facts."""
    training_state.write_curve(AdapterFolder(out).curve_file, report_measures.curve(60, job.params["rank"], job.params["seed"]))
    facts = {"trainable_parameters": 1000, "adapter_bytes": 4000, "steps": 60, "kept_step": 60, "dev_loss": 1.0}
    return facts | {"target_tokens": 9999, "tokens_per_second": 500.0, "train_seconds": 100.0, "targets": ["q_proj"]}


def write_predictions(job: Job, inputs: dict[str, Artifact], out: Path) -> dict[str, Any]:
    """Write the files of an arm's answers; returns their facts."""
    heldout = records.read(inputs["heldout"].path / "examples.jsonl", Example)
    count = records.write(out / "predictions.jsonl", (invented_prediction(example, arm_of(job)) for example in heldout))
    if "adapter" in inputs and "merge" not in job.params:
        PredictionsFolder(out).write_liveness({**report_measures.liveness(True, job.label)})
    facts = {"examples": count, "tokens": 20 * count, "prompt_tokens": 150 * count, "truncated": 0, "tokens_per_second": 60.0}
    if "shots" not in job.params:
        return facts
    shots = dict.fromkeys(("shots", "fewest_shots", "most_shots"), job.params["shots"])
    return facts | shots | {"shrunk": 0, "separator": ""}


def build_artifacts(root: Path, examples: int) -> tuple[dict[Job, Artifact], dict[str, float]]:
    """All artifacts behind the page, the report last; and seconds by stage of the jobs that really ran."""
    site = Site(calls.store_at(root), Machine())
    done: dict[Job, Artifact] = {}
    seconds: dict[str, float] = {}
    for job in plans.plan(build_recipe(root, examples)):
        inputs = {name: done[source] for name, source in job.inputs}
        if job.stage in ("finetune", "generate"):
            done[job] = seal_invented(job, inputs, site)
        else:
            done[job] = make(job, inputs, site)[1]
            seconds[job.stage] = round(seconds.get(job.stage, 0.0) + done[job].provenance["seconds"], 2)
    return done, seconds


def time_verify(page: Path, root: Path) -> tuple[float, str]:
    """Seconds of `loralift verify PAGE` in a process of its own, and its output."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "pipeline", "verify", str(page), "--store", str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent)
    return round(time.perf_counter() - start, 2), " ".join(done.stdout.split())


def interactions(comparison: Path, examples: int) -> list[tuple[str, int, list[str]]]:
    """What is done to the ledger of an open page, in this order: its name, how many examples are then listed, and the words for USE."""
    rows = list(records.read_dictionaries(comparison / "examples.jsonl"))
    cut = sum(any("truncated" in arm["flags"] for arm in (row["base"], *row["tuned"], *row["others"].values())) for row in rows)
    return [
        ("first_search_seconds", 1, ["input", "[name=query]", f"No. {examples - 1}:"]),
        ("search_seconds", examples, ["input", "[name=query]", "no. "]),
        ("search_emptied_seconds", examples, ["input", "[name=query]", ""]),
        ("filter_seconds", cut, ["change", "[name=flag]", "truncated"]),
        ("order_seconds", cut, ["change", "[name=order]", "gain"]),
        ("last_example_seconds", examples, ["hash", "", f"#cell0000/{rows[-1]['id']}"]),
        ("page_step_seconds", examples, ["click", "[data-step]:not(:disabled)", ""]),
    ]


def time_opening(path: Path, steps: list[tuple[str, int, list[str]]]) -> tuple[dict[str, float], str]:
    """The figures of one opening by name (seconds, milliseconds, pixels), and the browser's version."""
    figures: dict[str, float] = {}
    with browser.running() as chromium:
        version = chromium.version
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(OBSERVER)
        page.goto(f"file://{path}")
        figures["listed_seconds"] = page.evaluate("async () => await bench.ready / 1000")
        figures["opening_longest_task_ms"] = max(page.evaluate("bench.long"), default=0.0)
        for name, count, arguments in steps:
            figures[name], line = page.evaluate(INTERACT, arguments)
            assert line.endswith(f"of {count:,}"), f"{path}, {name}: the page says {line!r} where {count:,} examples fit"
        scrolled = page.evaluate(SCROLL, [PIXELS_PER_FRAME, MAX_FRAMES])
    gaps = scrolled["frames"]
    figures["usable_seconds"] = figures["listed_seconds"] + figures["first_search_seconds"]
    figures |= {"scroll_median_gap_ms": statistics.median(gaps), "scroll_longest_gap_ms": max(gaps)}
    return figures | {"scroll_longest_task_ms": max(scrolled["long"], default=0.0), "height_px": scrolled["height"]}, version


def summarize(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Median, lowest and highest value of every figure over the openings."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: {"median": round(statistics.median(values), 3), "low": round(min(values), 3), "high": round(max(values), 3)}
        for name, values in columns.items()
    }


def measure(examples: int, openings: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        done, seconds = build_artifacts(root, examples)
        *_, comparison, report = done.values()
        page = report.path / "report.html"
        steps = interactions(comparison.path, examples)
        rows, version = [], ""
        for number in range(openings):
            figures, version = time_opening(page, steps)
            rows.append(figures)
            print(f"{number + 1} of {openings} openings: {figures['listed_seconds']:.2f} s", flush=True)
        verify_seconds, verify_output = time_verify(page, root)
        size = round(page.stat().st_size / 2**20, 2)
    setup = {"examples": examples, "arms": len(SKILL), "openings": openings, "chromium": version}
    building = {"page_mib": size, "stage_seconds": seconds, "verify_seconds": verify_seconds, "verify_said": verify_output}
    return {**setup, **building, "opening": summarize(rows)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=5_000)
    parser.add_argument("--openings", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if browser.CHROMIUM is None:
        print("benchmarks.page: skipped, there is no Chromium here (apt-get install chromium); nothing is written")
        return
    results = measure(arguments.examples, arguments.openings)
    path = arguments.out / "page-cpu.json"
    path.write_text(json.dumps({**machine.environment(), "results": results}, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    print(path)


if __name__ == "__main__":
    main()
