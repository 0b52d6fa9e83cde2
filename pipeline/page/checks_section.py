"""Lists what a reader must know before trusting a figure: unparsed answers, dropped and overlapping data, dead adapters, warnings."""

from collections.abc import Callable
from typing import Any, Literal

from pipeline.config.recipe import VARIANT
from pipeline.measures.cell_types import AnswerCountsRow, LivenessRow
from pipeline.measures.provenance_types import DataSetRow
from pipeline.page import endpoint_section, fmt, predictions_section, variance_note, variants_section
from pipeline.page.cells import Cell, short_key, swept
from pipeline.store import user_code
from pipeline.store.artifact import Artifact
from pipeline.store.folders import PreparedFolder, TrainFolder
from pipeline.store.records import JsonObject

TRUNCATED_SHARE = 0.2
"""If at least this share of answers reached the limit of new tokens, the top of the page says so."""

SPLITS: dict[str, Literal["test", "training"]] = {"heldout": "test", "train": "training"}
"""What the page calls a split."""


def answers(cell: Cell) -> list[AnswerCountsRow]:
    """Counts of the answers of base and of every training seed; other arms have theirs in the table of arms."""
    counts = cell.comparison.counts()
    base: AnswerCountsRow = {"arm": "base", **counts["base"]}
    tuned: list[AnswerCountsRow] = [{"arm": cell.tuned_name(seed), **arm} for seed, arm in zip(cell.seeds, counts["tuned"], strict=True)]
    return [base, *tuned]


def liveness(cell: Cell) -> list[LivenessRow]:
    """One row per seed; lists of names become their number."""
    return [
        {
            "matched": row["targets"] - len(row["unmatched"]),
            "seed": row["seed"],
            "tensors": row["tensors"],
            "zero_tensors": len(row["zero_tensors"]),
            "targets": row["targets"],
            "unmatched": len(row["unmatched"]),
            "probes": row["probes"],
            "largest_logit_difference": row["largest_logit_difference"],
            "alive": row["alive"],
        }
        for row in cell.comparison.liveness()
    ]


def data_sets(cells: list[Cell]) -> dict[str, DataSetRow]:
    """By short key, every set of examples once, with the cells that use it."""
    rows: dict[str, DataSetRow] = {}
    for cell in cells:
        for source in cell.splits:
            key = short_key(cell.inputs[source])
            if key not in rows:
                rows[key] = data_set(cell, source)
            rows[key]["cells"].append(cell.name)
    return rows


def data_set(cell: Cell, source: str) -> DataSetRow:
    facts = cell.inputs[source].facts
    overlap: Any = TrainFolder(cell.inputs[source].path).overlap() if source == "train" else None
    return {
        "task": cell.task,
        "split": SPLITS[source],
        "examples": facts["examples"],
        "dev": facts.get("dev", 0),
        "wanted": facts.get("wanted"),
        "cut": facts.get("cut"),
        "dropped": PreparedFolder(cell.inputs[source].path).dropped(),
        "notes": facts.get("notes", []),
        "overlap": overlap,
        "cells": [],
    }


def warnings(cells: list[Cell], recipe: JsonObject) -> list[str]:
    """Problems that could make the figures misleading, most serious first."""
    sentences = []
    if recipe["trust_remote_code"]:
        sentences.append(
            f"trust_remote_code is on: Python code that came with {recipe['base']} ran on this machine "
            "and could have altered any figure here."
        )
    if recipe["compare"]["correction"] == "none":
        sentences.append(
            "correction is none: p-values are not corrected for the number of comparisons, so some verdicts may be chance. "
            "Set compare.correction to holm before anyone relies on them."
        )
    sentences += grouped(cells, own_code_warning)
    sentences += data_warnings(cells)
    sentences += grouped(cells, predictions_section.repeated_warning)
    sentences += predictions_section.unknown_warnings(cells)
    sentences += grouped(cells, endpoint_section.unknown_warning)
    sentences += grouped(cells, variants_section.fit_warning)
    sentences += grouped(cells, variants_section.quantized_warning)
    sentences += grouped(cells, variants_section.overlap_warning)
    sentences += variants_section.unknown_training(cells)
    sentences += grouped(cells, data_source_warning)
    sentences += grouped(cells, environment_warning)
    sentences += grouped(cells, token_budget_warning)
    sentences += grouped(cells, liveness_warning)
    return sentences


def data_warnings(cells: list[Cell]) -> list[str]:
    """What `prepare` said of the data, each set of examples once."""
    parts = [(cell, name) for cell in cells for name in cell.splits]
    sentences = [
        f"{cell.task}, {SPLITS[name]}: {row['problem']} (first: {row['first']}). {row['remedy']}"
        for cell, name in parts
        for row in cell.inputs[name].facts.get("warnings", ())
    ]
    return list(dict.fromkeys(sentences))


MAX_BUDGETS = 6
"""Cells whose variance is split; of more the sentences are no longer read."""


def grouped(cells: list[Cell], fault: Callable[[Cell], str]) -> list[str]:
    """Each fault once, with the cells that have it."""
    labels_by_sentence: dict[str, list[str]] = {}
    for cell in cells:
        if sentence := fault(cell):
            labels_by_sentence.setdefault(sentence, []).append(cell.label)
    more = {sentence: f"; and {len(labels) - 3} more" if len(labels) > 3 else "" for sentence, labels in labels_by_sentence.items()}
    return [f"{sentence} ({'; '.join(labels[:3])}{more[sentence]})" for sentence, labels in labels_by_sentence.items()]


def own_code_warning(cell: Cell) -> str:
    """A note that Python of the recipe's author made prompts or scores; empty where it did not."""
    code = dict(user_code.bundles_in(cell.inputs["comparison"].params))
    if not code:
        return ""
    names = " and ".join(f"{name} (sha256 {user_code.digest(bundle)})" for name, bundle in sorted(code.items()))
    return f"Python code of the recipe's author made prompts or scores, and ran with all rights: {names}. This page carries it."


def data_source_warning(cell: Cell) -> str:
    """A warning if the data differ from those that the task was written for; else empty."""
    reasons = []
    for name in cell.splits:
        facts, split_name = cell.inputs[name].facts, SPLITS[name]
        source = facts.get("source", {})
        if source.get("instead_of"):
            reasons.append(f"the {split_name} rows come from a fallback source ({source['instead_of'][0].rstrip('.')})")
        if "expected_rows" in source:
            reasons.append(f"the {split_name} source has {facts['rows']:,} rows, not {source['expected_rows']:,} as expected")
    return f"The data differ from those that the task was written for: {'; '.join(reasons)}." if reasons else ""


def environment_warning(cell: Cell) -> str:
    """A warning if base and tuned answers were generated in different environments; else empty."""
    base = cell.inputs["base"]
    differing = sorted({line for tuned in cell.tuned_predictions for line in differences(base, tuned)})
    if not differing:
        return ""
    return f"Base and fine-tuned outputs come from different environments ({', '.join(differing)}). Part of the lift may be due to that."


def differences(base: Artifact, tuned: Artifact) -> list[str]:
    before, after = base.provenance["packages"], tuned.provenance["packages"]
    versions = [
        f"{name} {before.get(name, 'missing')} and {after.get(name, 'missing')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    chips = [processor(base), processor(tuned)]
    return versions if chips[0] == chips[1] else [*versions, " and ".join(chips)]


def processor(artifact: Artifact) -> str:
    """The GPU, or the CPU where there was none."""
    gpu = artifact.provenance["gpu"]
    return f"{gpu['name']} (CUDA {gpu['cuda']})" if gpu else str(artifact.provenance["cpu"]["model"])


def token_budget_warning(cell: Cell) -> str:
    """Whether answers or adapters that are compared were made in batches of different size, which round otherwise."""
    budgets: dict[int | None, list[str]] = {}
    for name in sorted(cell.inputs):
        if cell.inputs[name].stage in ("finetune", "generate"):
            budgets.setdefault(cell.inputs[name].provenance["machine"].get("tokens"), []).append(name)
    if len(budgets) < 2:
        return ""
    groups = "; ".join(
        f"{'by device' if tokens is None else tokens} for {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        for tokens, names in sorted(budgets.items(), key=lambda item: -len(item[1]))
    )
    return (
        f"Made with different --tokens: {groups}. Batch size changes rounding, so training and near-ties between tokens can "
        "differ and move scores by a few examples."
    )


def liveness_warning(cell: Cell) -> str:
    rows = liveness(cell)
    if not cell.has_fine_tune:
        return ""  # said with all that is unknown of it
    if not rows:
        return "The adapter sanity check did not run (compare.liveness is off)."
    dead = [row["seed"] for row in rows if not row["alive"]]
    return (
        f"The adapter (seed {', '.join(map(str, dead))}) has no effect on the logits: fine-tuned results may just be those of the base."
        if dead
        else ""
    )


def truncation_note(cell: Cell) -> str:
    """A note if many answers of base or tuned reached the limit of new tokens; else empty."""
    base, *tuned = answers(cell)
    arms = {"base": [base], "fine-tuned": tuned}
    truncated = {name: sum((arm["truncated"] or 0) + (arm["endless"] or 0) for arm in rows) for name, rows in arms.items()}
    affected = [name for name, rows in arms.items() if truncated[name] >= TRUNCATED_SHARE * sum(arm["n"] for arm in rows)]
    if not affected:
        return ""
    opening = f"At least {fmt.percent(TRUNCATED_SHARE)} of {' and '.join(affected)} outputs"
    return f"{opening} were truncated at max_new_tokens or in a repetition loop; raising the limit may change the scores."


def notes(cells: list[Cell], recipe: JsonObject) -> list[str]:
    """Limitations of the figures that are not faults."""
    sentences = [*grouped(cells, predictions_section.not_measured_note), *grouped(cells, endpoint_section.not_measured_note)]
    single = [cell for cell in cells if len(cell.seeds) == 1]
    if 0 < len(single) < len(cells):  # of one seed everywhere the verdict speaks
        sentences.append(
            f"One training seed for {len(single)} of {len(cells)} comparisons: "
            "intervals reflect test-set sampling only, not run-to-run variance."
        )
    if len(single) < len(cells):
        sentences.append(
            "With several seeds, lift, scores and hallucination are averaged over all of them; relevance, other tasks, latency and all "
            "further arms with an adapter use the first seed. Intervals and p-values of lift, training effect, same and scores cover other "
            "seeds too; those of other tasks, hallucination, relevance and classes cover test examples only."
        )
    sentences += grouped(cells, variance_note.note) if len(cells) <= MAX_BUDGETS else []
    if keys := swept(recipe):
        best = "the best of several variants" if set(keys) == {VARIANT} else "the best sweep point"
        sentences.append(f"Selection bias: {best} is over-estimated on the examples used to select it. Confirm it on fresh data.")
    sentences += grouped(cells, truncation_note)
    states = [artifact.provenance["git"] for cell in cells for artifact in cell.inputs.values()]
    dirty = ", ".join(sorted({git["commit"][:12] for git in states if git.get("dirty")}))
    if dirty:
        sentences.append(f"Some inputs were made with uncommitted changes: commit {dirty} is not the whole code behind them.")
    return sentences
