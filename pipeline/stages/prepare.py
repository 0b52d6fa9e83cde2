"""Prepares the examples of a task: reads every row of a split, counts unusable rows by reason, and samples the others by seed.

Training sees no held-out prompt: the train split is drawn after the held-out one (input `avoid`) and leaves out its prompts and near
copies of them. An example's rank in the draw is the hash of seed and id, so a larger draw holds a smaller one, and
another prompt over the same rows draws the same rows; or the held-out part is the first rows as they come.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from pipeline.config.schema import HARNESS, INSPECT
from pipeline.data import data_checks, inline, make_examples, manual_files, overlap, rows_used, source, thoughts, token_counts
from pipeline.data.drop_tally import DRAW_FAULTS, FAULTS, DropTally
from pipeline.data.files import BadRow, Split, shorten
from pipeline.data.overlap import OverlapIndex
from pipeline.data.row_notes import RowNote, RowNotes, print_notes
from pipeline.data.task import Task
from pipeline.errors import DataError
from pipeline.machine import Work
from pipeline.models import no_model, renderer
from pipeline.progress import meter, say
from pipeline.scoring import constant_answers, gold_check
from pipeline.store import records
from pipeline.store.artifact import json_sha256
from pipeline.store.folders import HeldoutFolder, PreparedFolder, TrainFolder
from pipeline.store.records import Example, Turn

MAX_TARGETS = 1000
"""Different targets that are counted; labels are fewer."""
MAX_PAIRS = 20
TELLING_SAMPLE = 20
"""Drawn examples from which on equal targets are no chance, though other rows have others; a smoke test draws fewer."""
MIN_DEV = 20
"""Size of the dev set below which a warning is printed."""
MIN_LOOKED_AT = 200
"""Least number of rows whose tokens are counted, so that the share of those that are too long is known."""


class Spool:
    """Examples in a temporary file until it is known which are drawn, so that memory holds a few bytes for each."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.entries: list[tuple[int, int]] = []
        """The rank of each example in the draw, and its offset in the file."""
        self.targets: Counter[str] = Counter()
        """How often each target occurs; of more than MAX_TARGETS different ones the first."""

    def put(self, location: str, example: Example, seed: int | None) -> None:
        """seed: of the draw; None: keep the order of the source."""
        random_bytes = hashlib.sha256(f"{seed} {example.id}".encode()).digest()[:8]
        rank = len(self.entries) if seed is None else int.from_bytes(random_bytes)
        self.entries.append((rank, self.file.tell()))
        if example.target in self.targets or len(self.targets) < MAX_TARGETS:
            self.targets[example.target] += 1
        row = (location, example.id, example.prompt, example.target, example.choices, example.group, example.extra)
        self.file.write(json.dumps(row, default=Turn.message).encode() + b"\n")

    def in_order(self) -> Iterator[tuple[str, Example]]:
        """Location and example, in the order of the draw."""
        for _, offset in sorted(self.entries):
            self.file.seek(offset)
            location, name, prompt, target, choices, group, extra = json.loads(self.file.readline())
            yield location, Example(name, records.prompt_from_json(prompt), target, tuple(choices), group, extra)


@dataclass
class Draw:
    """Selects examples in the order of the draw until there are enough."""

    params: dict[str, Any]
    heldout_index: OverlapIndex | None
    """The held-out prompts, if the draw is for training."""
    selected: list[Example] = field(default_factory=list)
    rows: list[data_checks.Row] = field(default_factory=list)
    """The selected examples, with their locations and lengths."""
    looked_at: int = 0
    cut: int = 0
    overlap: Counter[str] = field(default_factory=Counter)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    prompts: set[str] = field(default_factory=set)
    """Hashes of the selected prompts, and of the prompts with their answers; of the train split only."""
    dev_prompts: set[str] = field(default_factory=set)

    @property
    def requested(self) -> int | None:
        """Examples that the recipe asks for, with those for dev; None: all."""
        examples = self.params["examples"]
        return None if examples is None else int(examples + self.params.get("dev_examples", 0))

    @property
    def is_full(self) -> bool:
        return self.requested is not None and len(self.selected) >= self.requested

    @property
    def is_done(self) -> bool:
        return self.is_full and self.looked_at >= MIN_LOOKED_AT

    def consider(
        self, location: str, original: Example, counts: make_examples.TokenCounts, render: renderer.Renderer, tally: DropTally
    ) -> None:
        """Select an example of the task, or count the reason why not."""
        self.looked_at += 1
        example = make_examples.without_start(original, render)
        shortened, length = make_examples.fit_tokens(example, counts, render, self.params["max_tokens"], self.params["long_prompts"])
        if shortened is None:
            tally.add(
                "too long",
                location,
                f"{sum(length)} tokens, {length[1]} of them the answer, where max_tokens is {self.params['max_tokens']}",
            )
        elif not self.is_full and not self.is_copy(location, shortened, tally):
            self.cut += shortened.prompt != example.prompt
            is_heldout = self.heldout_index is None
            marked = make_examples.marked(shortened, render, self.params["max_new_tokens"], is_heldout)
            self.selected.append(marked)
            self.rows.append(data_checks.Row(location, marked, *length, original=original.text, uncut=example.text))

    def is_copy(self, location: str, example: Example, tally: DropTally) -> bool:
        """Whether a training prompt copies a held-out one, or one that was selected before."""
        if self.heldout_index is None:
            return False  # held-out examples with one prompt are kept, and form one group
        if match := next(filter(None, map(self.heldout_index.match, overlap.questions(example))), None):
            self.overlap[match.kind] += 1
            pair = {"train": example.id, "heldout": match.heldout, "similarity": round(match.similarity, 4), "kind": match.kind}
            self.pairs += [pair] if len(self.pairs) < MAX_PAIRS else []
            return True
        prompt, whole = json_sha256(example.text), json_sha256([example.text, example.target])
        if whole in self.prompts:
            tally.add("duplicate", location, example.text)
        elif prompt in self.prompts and example.choices:  # where answers are free, a prompt may have several
            tally.add("conflicting answer", location, f"{example.target}, to {example.text}")
        elif prompt in self.dev_prompts:
            tally.add("prompt of the dev part", location, example.text)
        else:
            self.prompts |= {prompt, whole}
            self.dev_prompts |= {prompt} if len(self.selected) < self.params["dev_examples"] else set()
            return False
        return True

    def bad_share(self, tally: DropTally) -> float:
        """The share of bad rows among all; if the draw ended early, that of rows which cannot be rendered, or are too long, is estimated
        from the rows looked at."""
        unusable = tally.count(*(fault for fault in FAULTS if fault not in DRAW_FAULTS)) / tally.total
        return unusable + (1 - unusable) * (tally.count(*DRAW_FAULTS) / self.looked_at if self.looked_at else 0.0)


def run(work: Work) -> dict[str, Any]:
    params = work.params
    check_files(params["files"])
    task, used_columns = inline.from_spec(params["task"]), inline.columns(params["task"])
    sources = {"train": task.train, "heldout": task.heldout}
    split = source.open_first(sources[params["split"]], work.machine.offline, used_columns)
    inline.check_columns(params["task"], split.columns, split.location)
    tally = DropTally(split.total)
    heldout = HeldoutFolder(work.inputs["avoid"]).examples() if params["split"] == "train" else None
    draw = Draw(params, None if heldout is None else OverlapIndex(heldout, params["near_duplicates"]))
    maker = make_examples.example_maker(task, work.machine.offline)
    check_preface(work, maker.preface)
    with tempfile.TemporaryFile(dir=work.out) as file:
        spool = Spool(file)
        notes = read_examples(split, maker, tally, spool, params)
        tally.check_share(split.location, tally.count(*FAULTS) / tally.total, params)
        draw_examples(spool, draw, tally)
    tally.check_share(split.location, draw.bad_share(tally), params)
    check_targets(draw, spool.targets, split.location, tally, is_judged_elsewhere(task) and heldout is None)
    if heldout is None and not isinstance(params["task"], str):
        check_metrics(task, draw, split.location)
    split_facts = facts(draw, tally) | {"source": source_facts(split, params["files"])}
    prepared = data_checks.PreparedSplit.of(params, task, draw.rows, spool.targets, heldout or [])
    split_facts["notes"] = notes
    if params["model"] is None:
        del split_facts["tokens"]  # none was counted
    split_facts["warnings"] = data_checks.warnings(prepared)
    folder = work.out
    written = write_heldout(HeldoutFolder(folder), draw) if heldout is None else write_train(TrainFolder(folder), draw, heldout, task)
    PreparedFolder(work.out).write_dropped(tally.report())
    print_summary(split_facts | written, params, tally)
    return split_facts | written


def check_files(files: dict[str, str]) -> None:
    for name, planned in files.items():
        path = manual_files.folder() / name if (manual_files.folder() / name).exists() else Path(name)
        if path.exists() and manual_files.content_hash(path) != planned:
            raise DataError(f"{name} was changed after this run was planned.", "Run the same command again.")


def check_preface(work: Work, preface: str) -> None:
    """Store the preface of the held-out prompts, and refuse another one for training: copies of held-out prompts would not be found."""
    if work.params["split"] == "heldout":
        if preface:
            HeldoutFolder(work.out).write_preface(preface)
        return
    folder = HeldoutFolder(work.inputs["avoid"])
    if folder.preface() not in ("", preface):
        raise DataError(
            "the few-shot examples of the training prompts differ from those of the test prompts: their rows came from another source.",
            f"Make both from one source: delete {folder.path} and run again.",
        )


def read_examples(split: Split, maker: make_examples.ExampleMaker, tally: DropTally, spool: Spool, params: dict[str, Any]) -> list[RowNote]:
    """Make an example of every row; the usable ones go to the spool, the others to the tally. Returns notes on the usable ones."""
    seen: set[str] = set()
    shots = maker.task.shots if params["split"] == "train" else ()
    seed = None if params.get("order") == "first" else params["seed"]
    notes = RowNotes(params["task"])
    with meter(f"reading {split.location}", split.total, "rows") as progress:
        for number, row in enumerate(split.read()):
            progress.advance()
            example = maker.example(row)
            if isinstance(example, BadRow):
                tally.add(example.reason, row.location, example.value, example.remedy)
            elif example.id in seen:
                tally.add("duplicate id", row.location, example.id)
            elif number in shots:
                tally.add("shown in every prompt", row.location, example.target)
            else:
                seen.add(example.id)
                notes.count_row(row.row)
                spool.put(row.location, example, seed)
    summary = notes.summary(split.location)
    print_notes(params["split"], summary)
    return summary


def draw_examples(spool: Spool, draw: Draw, tally: DropTally) -> None:
    """Consider examples in the order of the draw until there are enough, or too many are too long."""
    render = no_model.renderer_of(draw.params["model"])
    reads_calls = inline.reads_calls(draw.params["task"])
    available = len(spool.entries)
    with meter("drawing examples", min(draw.requested or available, available), "examples") as progress:
        examples = thoughts.without(spool.in_order()) if draw.params["split"] == "heldout" else spool.in_order()
        for location, example, counts in token_counts.of_examples(examples, render, reads_calls):
            if draw.is_done or (draw.looked_at >= MIN_LOOKED_AT and draw.bad_share(tally) > draw.params["max_bad_rows"]):
                break
            before = len(draw.selected)
            if fault := counts if isinstance(counts, BadRow) else token_counts.refusal(example, render):
                draw.looked_at += 1
                tally.add(fault.reason, location, fault.value, fault.remedy)
            elif not isinstance(counts, BadRow):
                draw.consider(location, example, counts, render, tally)
            progress.advance(len(draw.selected) - before)


def is_judged_elsewhere(task: Task) -> bool:
    """Whether another tool judges the answers, whose targets may all be one: IFEval and TruthfulQA have a 0 in their place."""
    return task.metrics[0].startswith((HARNESS, INSPECT))


def check_targets(draw: Draw, targets: Counter[str], location: str, tally: DropTally, may_be_equal: bool) -> None:
    """Raises DataError if no example is left, or if all targets are equal and it is not the chance of a small sample.

    Args:
        targets: of all usable rows.
        may_be_equal: whether equal targets say nothing.
    """
    examples = draw.selected
    if not examples:
        counts = tally.counts() | {f"{kind} duplicates of test prompts": count for kind, count in draw.overlap.items()}
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        raise DataError(f"{location}: none of its {tally.total} rows is left ({reasons}).", "Check that train and test are different data.")
    is_telling = len(targets) == 1 or len(examples) >= TELLING_SAMPLE
    if not may_be_equal and len(examples) > 1 and is_telling and len({example.target for example in examples}) == 1:
        target = json.dumps(shorten(examples[0].target), ensure_ascii=False)
        problem = f"{location}: all {len(examples)} targets are {target}: nothing to learn or to compare."
        raise DataError(problem, "Check which column the target names, or take rows with other answers in.")


def check_metrics(task: Task, draw: Draw, location: str) -> None:
    """Raises DataError, if a metric of the task gives too many targets less than 1 against themselves; says so of fewer."""
    labels = inline.closed_set(draw.params["task"]) or task.choices
    for problem, count, remedy in gold_check.faults(task.metrics, task.metric_options, draw.selected, task.answer, labels):
        if count > draw.params["max_bad_rows"] * len(draw.selected):
            raise DataError(f"{location}: {problem}", remedy)
        say(f"  test: warning: {problem} {remedy}")


def facts(draw: Draw, tally: DropTally) -> dict[str, Any]:
    """The facts that both splits have."""
    lengths = [(row.prompt_tokens, row.target_tokens) for row in draw.rows]
    columns = zip(("prompt", "target"), zip(*lengths, strict=True), strict=True)
    tokens = {name: {"mean": round(sum(counts) / len(counts), 1), "max": max(counts)} for name, counts in columns}
    dropped = tally.counts()
    surplus = tally.total - len(draw.selected) - sum(dropped.values()) - sum(draw.overlap.values())
    wanted = tally.total if draw.requested is None else draw.requested
    counts = {"wanted": wanted, "selected": len(draw.selected), "rows": tally.total, "looked_at": draw.looked_at, "cut": draw.cut}
    return {**counts, "surplus": surplus, "dropped": dropped, "tokens": tokens}


def source_facts(split: Split, files: dict[str, str]) -> dict[str, Any]:
    """What identifies the source's bytes."""
    path = split.facts.get("file")
    name = next((name for name in files if path in (name, str(manual_files.folder() / name))), None)
    return split.facts | ({"sha256": files[name]} if name else {})


def write_heldout(folder: HeldoutFolder, draw: Draw) -> dict[str, Any]:
    """Examples with one prompt get the same answer, so they become one group unless the task has groups."""
    first: dict[str, str] = {}
    for example in draw.selected:
        first.setdefault(example.text, example.id)
    prompt_counts = Counter(example.text for example in draw.selected)
    grouped = [replace(e, group=first[e.text]) if prompt_counts[e.text] > 1 and not e.group else e for e in draw.selected]
    return {"examples": folder.write_examples(grouped), "prompts": len(prompt_counts)}


def write_train(folder: TrainFolder, draw: Draw, heldout: list[Example], task: Task) -> dict[str, Any]:
    """The dev set comes first in the draw, so that it stays the same when more examples are drawn."""
    dev = dev_count(len(draw.selected), draw.params["examples"], draw.params["dev_examples"])
    exact, near = draw.overlap["exact"], draw.overlap["near"]
    folder.write_overlap({"exact": exact, "near": near, "threshold": draw.params["near_duplicates"], "pairs": draw.pairs})
    groups = {example.group for example in heldout if example.group}
    return {
        "examples": folder.write_examples(draw.selected[dev:]),
        "dev": folder.write_dev(draw.selected[:dev]),
        "constant_answer": constant_answers.best_text(task.metrics[0], task.metric_options, draw.selected[dev:], task.answer),
        "overlap_exact": exact,
        "overlap_near": near,
        "shared_groups": sum(example.group in groups for example in draw.selected),
    }


def dev_count(available: int, examples: int | None, dev: int) -> int:
    """How many of the available examples are for dev: as many as requested, or the same share of fewer.

    Where all are asked for (None), at most a tenth, or as many of a fifth as make MIN_DEV.
    """
    if examples is None:
        return min(dev, max(available // 10, min(MIN_DEV, available // 5)))
    if available >= examples + dev or not dev:
        return dev
    return max(1, available * dev // (examples + dev)) if available > 1 else 0


def print_summary(facts: dict[str, Any], params: dict[str, Any], tally: DropTally) -> None:
    """Print what a user should know without opening a file."""
    split, dev = rows_used.SPLIT_NAMES.get(params["split"], params["split"]), params.get("dev_examples", 0)
    say(f"  {split}: using {rows_used.used(facts)}{request_text(facts, params)}")
    if dev and facts["dev"] < MIN_DEV:
        problem = f"a validation set of {facts['dev']} is too small to select the best checkpoint reliably (finetune.keep)"
        say(f"  {split}: warning: {problem}: {small_dev_remedy(facts['selected'], params['examples'], dev)}")
    if facts["source"].get("instead_of"):
        say(f"  {split}: from {facts['source'].get('hub') or facts['source'].get('file')}, not from the first source")
    if "expected_rows" in facts["source"]:
        expected = facts["source"]["expected_rows"]
        say(f"  {split}: {facts['rows']:,} rows, where {expected:,} were known: another version of the data?")
    if facts["dropped"]:
        say(f"  {split}: left out {tally.listed()} (see dropped.json)")
    if facts.get("overlap_exact") or facts.get("overlap_near"):
        exact, near = facts["overlap_exact"], facts["overlap_near"]
        say(f"  {split}: left out {exact} exact and {near} near-duplicates of test prompts (see overlap.json)")
    if facts.get("shared_groups"):
        say(f"  {split}: {facts['shared_groups']} examples come from the same source documents (group) as test examples")
    for row in facts["warnings"]:
        say(f"  {split}: warning: {row['problem']} (first: {row['first']}). {row['remedy']}")


def request_text(facts: dict[str, Any], params: dict[str, Any]) -> str:
    """How what is used differs from what the recipe asks for: it has left rows, or has too few; empty where it does not."""
    if facts["surplus"]:
        key = "prepare.train_examples" if params["split"] == "train" else "heldout_examples"
        return f" ({facts['surplus']:,} more than {key} requests)"
    if params["split"] == "train" and params["examples"] is not None and facts["selected"] < facts["wanted"]:
        dev = f" and {params['dev_examples']:,} for validation" if params["dev_examples"] else ""
        return f" (of {params['examples']:,}{dev} requested; there are no more)"
    return ""


def small_dev_remedy(selected: int, examples: int | None, dev: int) -> str:
    """How to get a dev set of MIN_DEV.

    Args:
        selected: how many examples there are.
        examples: how many the recipe asks for, besides `dev` ones; None: all.
    """
    if examples is None and dev >= MIN_DEV:
        return f"it takes {5 * MIN_DEV} usable training rows, or set finetune.keep to last"
    if examples is None:
        return f"set prepare.dev_examples to {MIN_DEV} or more"
    if selected >= examples + dev or dev < MIN_DEV:
        return f"set prepare.dev_examples to {MIN_DEV} or more"
    fewer = selected * dev // MIN_DEV - dev  # the dev set has the same share of fewer examples
    if fewer < 1:
        return f"it takes more than {MIN_DEV} usable training rows, or set finetune.keep to last"
    return f"set prepare.train_examples to {fewer} or less"
