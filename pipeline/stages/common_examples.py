"""Keeps the test examples that every file of predictions answers once, and says how many are left out."""

from typing import Any

from pipeline.data import pairing, prediction_files
from pipeline.data.pairing import Paired, RowIndex
from pipeline.errors import DataError
from pipeline.machine import Work
from pipeline.progress import say
from pipeline.store.artifact import Artifact
from pipeline.store.folders import HeldoutFolder
from pipeline.store.records import Example, JsonObject

REASON = "not answered once by every file"


def run(work: Work) -> dict[str, Any]:
    """Write the examples into work.out.

    Raises:
        DataError: a file cannot be read or paired, or no example is left.
    """
    options = work.params["pairing"]
    prediction_files.check(work.params["predictions"])
    test = RowIndex.of(work.params["task"], work.machine.offline)
    files = [prediction_files.read(path, pairing.answer_column(options, path)) for path in work.params["predictions"]]
    pairs = [pairing.pair(file, test, options["id"]) for file in files]
    whole = HeldoutFolder(work.inputs["heldout"])
    examples = whole.examples()
    names = set.intersection(*(paired.once for paired in pairs))
    common = [example for example in examples if example.id in names]
    left_out = [example.id for example in examples if example.id not in names]
    if not common:
        counts = "; ".join(f"{paired.file.path.name} answers {len(paired.once):,} rows once" for paired in pairs)
        problem = f"no test row is answered once by every file ({counts}, paired by {pairs[0].described})."
        raise DataError(problem, "Check how they are paired: --id.")
    say(f"  {len(left_out):,} of {len(examples):,} test rows are left out: {REASON}")
    write(HeldoutFolder(work.out), whole, common, left_out)
    return facts(Artifact.open(whole.path).facts, common, left_out, unknown_rows(pairs))


def unknown_rows(pairs: list[Paired]) -> int:
    """Answers of all files to no test row."""
    return sum(len(paired.unknown) for paired in pairs)


def write(folder: HeldoutFolder, whole: HeldoutFolder, common: list[Example], left_out: list[str]) -> None:
    """Write the examples with what the folder of all of them says besides."""
    folder.write_examples(common)
    if whole.preface():
        folder.write_preface(whole.preface())
    row = {"count": len(left_out), "first": left_out[:3], "value": ""}
    folder.write_dropped(whole.dropped() | ({REASON: row} if left_out else {}))


def facts(whole: JsonObject, common: list[Example], left_out: list[str], unknown: int) -> JsonObject:
    """The facts of all examples, with those that are left out."""
    total = len(common) + len(left_out)
    also = f", and so {'is 1 answer' if unknown == 1 else f'are {unknown:,} answers'} to no test row" if unknown else ""
    warning = {
        "check": "common rows only",
        "count": len(left_out),
        "total": total,
        "first": (left_out or [""])[0],
        "problem": f"{len(left_out):,} of {total:,} test rows are left out: {REASON} (pairing.common_rows){also}",
        "remedy": "What is compared may be easier than the whole test set: answer all of its rows before anyone relies on it.",
    }
    return {
        **whole,
        "examples": len(common),
        "selected": len(common),
        "prompts": len({example.text for example in common}),
        "dropped": whole["dropped"] | ({REASON: len(left_out)} if left_out else {}),
        "warnings": [*whole["warnings"], *([warning] if left_out or unknown else [])],
    }
