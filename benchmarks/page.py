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

from pipeline import cli, machine
from pipeline import plan as plans
from pipeline.config import recipe
from pipeline.machine import Machine
from pipeline.plan import Job
from pipeline.run import Site, artifact_spec, make
from pipeline.store import records
from pipeline.store.artifact import Artifact
from pipeline.store.records import Example, Prediction
from tests import browser, report_inputs

HERE = Path(__file__).parent
SKILL = {"base": 0.35, "base_fewshot": 0.5, "tuned": 0.8, "base_bf16": 0.36, "merged": 0.79, "shuffled_labels": 0.2}
"""By arm, the share of the words of the target that its answers have."""
TRAINED = 40
"""Training examples; the page shows none."""
WATCH = """
window.bench = { ready: null, long: [] };
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) bench.long.push(task.duration);
}).observe({ type: "longtask", buffered: true });
bench.painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))));
new MutationObserver(() => {
  if (document.documentElement?.dataset.ready) bench.ready ??= bench.painted();
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-ready"] });
"""
"""Stands in the page before its own scripts: when its list could be used, and every task of more than 50 ms."""
USE = """async ([kind, selector, value]) => {
  const found = document.getElementById("found"), start = performance.now();
  const answered = new Promise((done) => new MutationObserver(done).observe(found, { childList: true }));
  if (kind === "hash") location.hash = value;
  else {
    const control = document.querySelector(selector);
    if (kind === "click") control.click();
    else { control.value = value; control.dispatchEvent(new Event(kind, { bubbles: true })); }
  }
  await answered;
  return [(await bench.painted() - start) / 1000, found.textContent];
}"""
"""Does one thing to the ledger; seconds until what it gives is painted, and what it then says of the list."""
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
"""Scrolls from the top to the end, so many pixels a frame; milliseconds between frames, and of long tasks meanwhile."""
STEP, FRAMES = 150, 900
"""Pixels a frame: 9,000 a second at 60 frames, faster than a wheel is turned; and frames at most."""


def words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(report_inputs.WORDS, k=count))


def write_rows(path: Path, count: int, chance: random.Random) -> Path:
    """A passage of 60 words and a title of 14 a row."""
    rows = [{"passage": f"No. {at}: {words(chance, 60)}.", "title": f"{words(chance, 13)} {at}"} for at in range(count)]
    path.write_text(report_inputs.lines(rows), "utf-8")
    return path


def asked(root: Path, examples: int) -> recipe.Recipe:
    chance = random.Random(0)
    data = {"train": write_rows(root / "train.jsonl", TRAINED, chance), "heldout": write_rows(root / "test.jsonl", examples, chance)}
    task = {"name": "titles", "data": {name: str(path) for name, path in data.items()}, "prompt": "{passage}\nTitle:", "target": "{title}"}
    return recipe.build(
        {
            "name": "large-page", "base": "quickstart-base",
            "tasks": [{**task, "metrics": ["rougeL"], "grounded": True, "max_new_tokens": 32}],
            "prepare": {"train_examples": TRAINED, "dev_examples": 0, "heldout_examples": examples, "near_duplicates": 1.0},
            "compare": {"arms": list(SKILL), "relevance_examples": 0, "speed_prompts": 0}, "general": {"suites": []},
        }
    )  # fmt: skip


def said(example: Example, arm: str) -> Prediction:
    """An answer that has as many words of the target as the arm's skill gives; some are empty, some were cut off."""
    chance = random.Random(f"{example.id}{arm}")
    text = " ".join(word if chance.random() < SKILL[arm] else chance.choice(report_inputs.WORDS) for word in example.target.split())
    odd = chance.random()
    return Prediction(example.id, "" if odd < 0.02 else text, 20, "length" if odd > 0.95 else "eos")


def arm_of(job: Job) -> str:
    """Which arm a job of `generate` makes, by what its label ends in."""
    name = job.label.rpartition("--")[2]
    return name if name in SKILL else "tuned"


def invented(job: Job, inputs: dict[str, Artifact], site: Site) -> Artifact:
    """A sealed folder in the place of one that training or answering would leave."""
    wanted, made = artifact_spec(job, inputs), {"seconds": 1.0, "at": "2026-01-01T00:00:00Z", **machine.provenance(site.machine)}
    with site.store.scratch(wanted) as out:
        facts = trained(job, out) if job.stage == "finetune" else answered(job, inputs, out)
        return site.store.seal(wanted, out, facts, made, {name: source.path.name for name, source in inputs.items()})


def trained(job: Job, out: Path) -> dict[str, Any]:
    """The files of an adapter that the report reads, and its facts."""
    (out / "curve.csv").write_text(report_inputs.curve(60, job.params["rank"], job.params["seed"]), "utf-8")
    facts = {"trainable_parameters": 1000, "adapter_bytes": 4000, "steps": 60, "kept_step": 60, "dev_loss": 1.0}
    return facts | {"target_tokens": 9999, "tokens_per_second": 500.0, "train_seconds": 100.0, "targets": ["q_proj"]}


def answered(job: Job, inputs: dict[str, Artifact], out: Path) -> dict[str, Any]:
    """The files of an arm's answers, and their facts."""
    exam = records.read(inputs["heldout"].path / "examples.jsonl", Example)
    count = records.write(out / "predictions.jsonl", (said(example, arm_of(job)) for example in exam))
    if "adapter" in inputs and "merge" not in job.params:
        (out / "liveness.json").write_text(json.dumps(report_inputs.liveness(0, True)), "utf-8")
    facts = {"examples": count, "tokens": 20 * count, "prompt_tokens": 150 * count, "truncated": 0, "tokens_per_second": 60.0}
    shown = dict.fromkeys(("shots", "fewest_shots", "most_shots"), job.params["shots"]) if "shots" in job.params else {}
    return facts | (shown | {"shrunk": 0, "separator": ""} if shown else {})


def built(root: Path, examples: int) -> tuple[dict[Job, Artifact], dict[str, float]]:
    """Everything that the page comes from, the page last; and seconds of the stages that were really run."""
    site = Site(cli.store_at(root), Machine())
    done: dict[Job, Artifact] = {}
    seconds: dict[str, float] = {}
    for job in plans.plan(asked(root, examples)):
        inputs = {name: done[source] for name, source in job.inputs}
        if job.stage in ("finetune", "generate"):
            done[job] = invented(job, inputs, site)
        else:
            done[job] = make(job, inputs, site)[1]
            seconds[job.stage] = round(seconds.get(job.stage, 0.0) + done[job].provenance["seconds"], 2)
    return done, seconds


def verified(page: Path, root: Path) -> tuple[float, str]:
    """Seconds of `loralift verify PAGE`, a process of its own, and what it said."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "pipeline", "verify", str(page), "--store", str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent)
    return round(time.perf_counter() - start, 2), " ".join(done.stdout.split())


def uses(verdict: Path, examples: int) -> list[tuple[str, int, list[str]]]:
    """What is done to the ledger of an open page, in this order: its name, how many examples are then listed, and the words for USE."""
    rows = list(records.dictionaries(verdict / "examples.jsonl"))
    cut = sum(any("truncated" in arm["flags"] for arm in (row["base"], *row["tuned"], *row["others"].values())) for row in rows)
    return [
        ("first_search_seconds", 1, ["input", "[name=query]", f"No. {examples - 1}:"]),
        ("search_seconds", examples, ["input", "[name=query]", "no. "]),
        ("search_emptied_seconds", examples, ["input", "[name=query]", ""]),
        ("filter_seconds", cut, ["change", "[name=flag]", "truncated"]),
        ("order_seconds", cut, ["change", "[name=order]", "gain"]),
        ("last_example_seconds", examples, ["hash", "", f"#cell0000/{rows[-1]['id']}"]),
        ("page_back_seconds", examples, ["click", "[data-step='-1']", ""]),
    ]


def opened(path: Path, used: list[tuple[str, int, list[str]]]) -> tuple[dict[str, float], str]:
    """What one opening took, by name: seconds, milliseconds of tasks and between frames, pixels; and the browser's version."""
    found: dict[str, float] = {}
    with browser.running() as chromium:
        version = chromium.version
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.add_init_script(WATCH)
        page.goto(f"file://{path}")
        found["listed_seconds"] = page.evaluate("async () => await bench.ready / 1000")
        found["opening_longest_task_ms"] = max(page.evaluate("bench.long"), default=0.0)
        for name, count, asked in used:
            found[name], told = page.evaluate(USE, asked)
            assert told.endswith(f"of {count:,}"), f"{path}, {name}: the page says {told!r} where {count:,} examples fit"
        scrolled = page.evaluate(SCROLL, [STEP, FRAMES])
    gaps = scrolled["frames"]
    found["usable_seconds"] = found["listed_seconds"] + found["first_search_seconds"]
    found |= {"scroll_median_gap_ms": statistics.median(gaps), "scroll_longest_gap_ms": max(gaps)}
    return found | {"scroll_longest_task_ms": max(scrolled["long"], default=0.0), "height_px": scrolled["height"]}, version


def together(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Median and range of every figure over the openings."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: {"median": round(statistics.median(each), 3), "low": round(min(each), 3), "high": round(max(each), 3)}
        for name, each in columns.items()
    }


def measured(examples: int, openings: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        done, seconds = built(root, examples)
        *_, verdict, report = done.values()
        page, used, rows, version = report.path / "report.html", uses(verdict.path, examples), [], ""
        for number in range(openings):
            found, version = opened(page, used)
            rows.append(found)
            print(f"{number + 1} of {openings} openings: {found['listed_seconds']:.2f} s", flush=True)
        checked, told = verified(page, root)
        size = round(page.stat().st_size / 2**20, 2)
    setup = {"examples": examples, "arms": len(SKILL), "openings": openings, "chromium": version}
    building = {"page_mib": size, "stage_seconds": seconds, "verify_seconds": checked, "verify_said": told}
    return {**setup, **building, "opening": together(rows)}


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--examples", type=int, default=5_000)
    given.add_argument("--openings", type=int, default=5)
    given.add_argument("--out", type=Path, default=HERE / "results")
    chosen = given.parse_args()
    if browser.CHROMIUM is None:
        print("benchmarks.page: skipped, there is no Chromium here (apt-get install chromium); nothing is written")
        return
    found = measured(chosen.examples, chosen.openings)
    path = chosen.out / "page-cpu.json"
    path.write_text(json.dumps({**machine.surroundings(), "results": found}, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(found, indent=1))
    print(path)


if __name__ == "__main__":
    main()
