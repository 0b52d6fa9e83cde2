"""Times the preparing of a data set of 50,000 rows from a hub on loopback; writes benchmarks/results/prepare-cpu.json.

Run: python -m benchmarks.prepare. The rows are invented in the form of GLUE QNLI, as Parquet. A process with an empty cache fetches
them, draws 2,000 held-out examples and, clear of them, 50,000 for training, as the prepare stage does; the tokenizer is that of
the embedded base. Seconds, processor seconds and peak memory are of that process from its start to its end, imports and all.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ROWS = {"train": 50_000, "validation": 2_000}
NAMES = "Ada Bo Cy Di Ed Flo Gus Hal Ivy Jo Kim Lou Mia Ned Ola Pia Ron Sue Tom Una".split()
PLACES = "Oakton Redhill Millford Fernby Lakeside Westbrook Hilltop Sandham Stoneford Elmwick".split()
THINGS = "bridge mill library ferry school market station harbour museum garden tower theatre".split()
VERBS = "built sold painted closed opened moved burnt mended visited drew".split()


def row(chance: random.Random) -> dict[str, object]:
    """A question, and a sentence that answers it (0) or another one (1)."""
    who, what, place, verb, year = (chance.choice(kind) for kind in (NAMES, THINGS, PLACES, VERBS, range(1500, 2000)))
    fits = chance.random() < 0.5
    stated = year if fits else chance.randrange(1500, 2000)
    sentence = f"{who} {verb} the {what} of {place} in {stated}, {chance.randrange(2, 99)} years after "
    sentence += f"{chance.choice(NAMES)} had {chance.choice(VERBS)} the {chance.choice(THINGS)} of {chance.choice(PLACES)}."
    return {"question": f"In what year was the {what} of {place} {verb} by {who}?", "sentence": sentence, "label": int(not fits)}


def hub(folder: Path) -> None:
    """The repository at the commit that the task asks for."""
    from pipeline.data import task
    from tests.task_hub import World, write

    world = World(folder / "hub", folder / "sources")
    for part in ("train", "heldout"):
        (source,) = getattr(task.find("glue_qnli"), part)
        place, chance = world.repository(source), random.Random(source.split)
        path = place / "qnli" / f"{source.split}-00000-of-00001.parquet"
        world.configs[place].setdefault("qnli", {})[source.split] = str(path.relative_to(place))
        write(path, [row(chance) | {"idx": number} for number in range(ROWS[source.split])], {"label": 2})
    world.declare()


def prepare(folder: Path) -> None:
    """Both splits, in this process; prints what became of them."""
    from pipeline.config import recipe
    from pipeline.models import base_model
    from pipeline.resources import shipped
    from tests import preparing

    spec = base_model.find(recipe.load(shipped("recipes/quickstart.yaml"))).spec()
    splits = {}
    for split, count in (("heldout", ROWS["validation"]), ("train", ROWS["train"])):
        wall, cpu = time.perf_counter(), time.process_time()
        facts = preparing.prepare_split("glue_qnli", split, folder / split, spec, examples=count, max_tokens=400)
        times = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        splits[split] = {"examples": facts["examples"], **{name: round(value, 2) for name, value in times.items()}}
    print(json.dumps(splits))


def main() -> None:
    from pipeline import machine
    from tests.local_hub import LocalHub

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hub(folder)
        with LocalHub(folder / "hub") as server:
            environ = os.environ | server.environ(folder / "cache")
            started = time.perf_counter()
            done = subprocess.run([sys.executable, "-m", "benchmarks.prepare", name], env=environ, stdout=subprocess.PIPE, check=True)
            seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gib": round(used.ru_maxrss / 2**20, 3),
        "splits": json.loads(done.stdout.splitlines()[-1]),
    }
    body = {**machine.environment(), "results": results}
    path = HERE / "results" / "prepare-cpu.json"
    path.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    print(path)


if __name__ == "__main__":
    prepare(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
