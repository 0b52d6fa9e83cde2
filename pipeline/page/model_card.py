"""Writes the model card of an adapter: what it is, how to load it, its measured lift, and the limits of that evidence."""

import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.data_paths import is_whole_path
from pipeline.measures import names
from pipeline.measures.cell_types import CellRow, ComparisonRow
from pipeline.measures.report_types import Report
from pipeline.models import adapter_kinds, model_table
from pipeline.page import card_training, fmt
from pipeline.page.cells import Cell
from pipeline.page.claims_section import suite_verdicts
from pipeline.page.render import plain
from pipeline.scoring.verdict import NOT_TESTABLE
from pipeline.store.artifact import Artifact
from pipeline.store.input_names import InputName
from pipeline.store.records import JsonObject


@dataclass(frozen=True)
class TrainedAdapter:
    """An adapter with the cell of the report that measures it."""

    cell: Cell
    seed: int
    adapter: Artifact

    @property
    def name(self) -> str:
        """Of the adapter's folder."""
        return self.adapter.path.name

    @property
    def answers(self) -> Artifact:
        """Its answers to the held-out examples."""
        return self.cell.inputs[str(InputName("predictions", "tuned", seed=self.seed))]


def all_of(report: Report, cells: list[Cell]) -> dict[str, str]:
    """README.md by the folder name of every adapter of the report; one that several cells share has the card of the first."""
    cards: dict[str, str] = {}
    rows = {row["cell"]: row for row in report["cells"]}
    for cell in (cell for cell in cells if not cell.is_whole_model):  # whose folder here holds no weights
        for seed, adapter in cell.trainings:
            if adapter.path.name not in cards:
                cards[adapter.path.name] = card(report, rows[cell.name], TrainedAdapter(cell, seed, adapter))
    return cards


def card(report: Report, row: CellRow, trained: TrainedAdapter) -> str:
    """One model card: front matter as the hub reads it, then Markdown.

    The front matter follows the hub's model-card metadata (huggingface_hub.ModelCardData), with the results as `model-index`.
    """
    import yaml

    front_matter = yaml.safe_dump(metadata(row, trained, report["preliminary"] is not None), sort_keys=False, allow_unicode=True)
    parts = [
        introduction(row, trained),
        f"**{plain(report['preliminary']['sentence'])}**" if report["preliminary"] else "",
        recommendation(report, row),
        loading_snippet(trained.cell, trained.adapter, trained.answers),
        card_training.prompts(trained.cell, trained.adapter),
        generation_snippet(trained.answers),
        results(report, row),
        other_tasks_table(report, row),
        card_training.training(trained.cell, trained.adapter),
        limits(report, row, trained),
    ]
    return f"---\n{front_matter}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def metadata(row: CellRow, trained: TrainedAdapter, is_smoke_test: bool = False) -> JsonObject:
    """The front matter: base, license, tags, and this seed's scores as a model index, which those of a smoke test do not enter."""
    cell = trained.cell
    adapter = trained.adapter
    license_id = license_of(cell.base, adapter)
    base = base_of(cell.base, adapter)
    entry = {
        "task": {"type": "text-generation", "name": "Text Generation"},
        "dataset": data_set(cell),
        "metrics": [
            {"type": metric["metric"], "name": fmt.metric(metric["metric"]), "value": round(score(row, metric, trained.seed), 6)}
            for metric in row["comparisons"]
        ],
    }
    return {
        **({"base_model": base, "base_model_relation": "adapter"} if base else {}),
        **({"datasets": [hub]} if cell.variant is None and (hub := cell.train_facts.get("source", {}).get("hub")) else {}),
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        **({"license": license_id} if license_id else {}),
        "tags": [adapter_kinds.of_params(adapter.params).tag, "loralift"],
        **({} if is_smoke_test else {"model-index": [{"name": trained.name, "results": [entry]}]}),
    }


def base_of(base: str, adapter: Artifact) -> str:
    """The base's id on the hub; empty for a base in a local folder."""
    spec = adapter.params.get("model") or {}
    return str(spec["repo"] or "") if spec else base


def license_of(base: str, adapter: Artifact) -> str:
    """The license of a base that the table knows; empty for any other."""
    repo = (adapter.params.get("model") or {}).get("repo")
    return next((row.license for row in model_table.ROWS if row.name == base or (repo and row.repo == repo)), "")


def data_set(cell: Cell) -> JsonObject:
    """The data set as a model index names it: its hub id where it has one, else the task."""
    source = cell.inputs["heldout"].facts.get("source", {})
    entry = {"name": cell.task, "type": source.get("hub") or cell.task, "split": "test"}
    return entry | ({"revision": source["revision"]} if source.get("revision") else {})


def score(row: CellRow, comparison: ComparisonRow, seed: int) -> float:
    """This seed's score by the primary metric; by other metrics the mean over all seeds."""
    runs = row["examples"]["runs"] or []
    own = [run["tuned"] for run in runs if run["seed"] == seed] if comparison["primary"] else []
    return float(own[0] if own else comparison["tuned"])


def introduction(row: CellRow, trained: TrainedAdapter) -> str:
    """The title, what the adapter is, its size, and the verdict."""
    return f"{opening(trained)}\n\n{plain(row['sentence'])}."


def opening(trained: TrainedAdapter) -> str:
    """The title, what the adapter is, and its size."""
    cell = trained.cell
    facts = trained.adapter.facts
    params = trained.adapter.params
    kind = adapter_kinds.of_params(params).description({"rank": cell.rank} | params)
    origin = f"trained elsewhere, measured on the task {plain(cell.task)}"
    if len(cell.seeds) > 1:
        origin += f" (number {trained.seed + 1} of {len(cell.seeds)} training runs)"
    if cell.variant is None:
        origin = f"trained on the task {plain(cell.task)} (seed {trained.seed})"
    text = f"A {kind} for {plain(cell.base)}, {origin}"
    size = f"{fmt.count(facts['trainable_parameters'])} parameters, {fmt.size(facts['adapter_bytes'])}"
    size += f", {facts['steps']:,} optimizer steps" if "steps" in facts else ""
    precision = {"nf4": "over NF4 weights", "none": "over weights at their own precision"}.get(str(params.get("quantization")), "")
    page = card_training.hub_page(params.get("model") or {})
    base = f" Base: {page}." if page else ""
    return f"# {plain(trained.name)}\n\n{text}{f', {precision}' if precision else ''}: {size}.{base}"


def recommendation(report: Report, row: CellRow) -> str:
    """What to use, in the words of the page."""
    advised = next(advised for advised in report["advice"] if advised["cell"] == row["cell"])
    first, *others = (plain(sentence["text"]) for sentence in advised["sentences"])
    return "\n".join([f"**{first}**", *(["", *(f"- {text}" for text in others)] if others else [])])


def loading_snippet(cell: Cell, adapter: Artifact, answers: Artifact, exported: str = "") -> str:
    """Code that loads the adapter on its base, with the quantization and dtype it was measured with.

    Args:
        answers: a folder of generate, made with the adapter.
        exported: a folder with tokenizer and generation_config.json beside the adapter; empty: the adapter's own in the store.
    """
    params = adapter.params if "quantization" in adapter.params else answers.params
    spec = params.get("model") or {}
    quantized = params.get("quantization") == "nf4"
    dtype = "torch.bfloat16" if params.get("compute", "bf16") == "bf16" else "torch.float32"
    is_elsewhere = is_whole_path(spec.get("folder"))
    folder = Path(spec["folder"]).name if is_elsewhere else spec.get("folder")
    arguments = [repr_of(spec.get("repo") or folder or cell.base)]
    arguments += [f"revision={repr_of(spec['revision'])}"] if spec.get("revision") else []
    arguments += ["trust_remote_code=True"] if spec.get("trust_remote_code") else []
    base = ", ".join(arguments)
    config = [
        "config = BitsAndBytesConfig(",
        f'    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype={dtype}',
        ")",
    ]
    classes = ["AutoModelForCausalLM", "AutoTokenizer", *(["BitsAndBytesConfig"] if quantized else [])]
    lines = [
        "import torch",
        "from peft import PeftModel",
        f"from transformers import {', '.join([*classes, *(['GenerationConfig'] if exported else [])])}",
        "",
        *(config if quantized else []),
        f"base = AutoModelForCausalLM.from_pretrained({base}, dtype={dtype}{', quantization_config=config' if quantized else ''})",
        *([] if exported else [f"tokenizer = AutoTokenizer.from_pretrained({base})"]),
        f"adapter = {repr_of(exported or f'checkpoints/{adapter.path.name}')}  # this folder, or its repository on the hub",
        *(["tokenizer = AutoTokenizer.from_pretrained(adapter)"] if exported else []),
        "model = PeftModel.from_pretrained(base, adapter)",
        *(["model.generation_config = GenerationConfig.from_pretrained(adapter)  # the ids that end an answer"] if exported else []),
    ]
    code = "\n".join(lines)
    note = f"\n\nThe first path is the folder of the base, {plain(cell.base)}." if is_elsewhere else ""
    return f"## Use\n\n```python\n{code}\n```{note}"


def generation_snippet(answers: Artifact) -> str:
    """Code that answers a prompt in the way the held-out prompts were answered.

    Args:
        answers: a folder of generate, made with the adapter.
    """
    params = answers.params
    limit = answers.facts.get("max_new_tokens", params["max_new_tokens"])  # more where a choice is longer
    stops = f", stop_strings={json.dumps(params['stop'], ensure_ascii=False)}, tokenizer=tokenizer" if params["stop"] else ""
    lines = [
        'inputs = tokenizer(prompt, add_special_tokens=False, return_token_type_ids=False, return_tensors="pt").to(model.device)',
        f"output = model.generate(**inputs, max_new_tokens={limit}, do_sample=False{stops})",
        'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))',
    ]
    code = "\n".join(lines)
    as_is = "`prompt` is the whole text before the answer, special tokens included, as `loralift show-prompt` prints it"
    return f"The answer ({as_is}):\n\n```python\n{code}\n```"


def repr_of(text: object) -> str:
    return json.dumps(str(text), ensure_ascii=False)


def results(report: Report, row: CellRow) -> str:
    """Scores and lifts with intervals, and every other arm on the same examples."""
    percent = fmt.percent(report["confidence"])
    effect = row["headline"]
    baseline = names.arm(effect["baseline"], row["constraint"])
    best = f"{fmt.number(effect['baseline_score'])} ({plain(baseline)})"
    change = fmt.change(effect["effect"], effect["low"], effect["high"])
    lines = [
        f"| metric | best baseline without training | fine-tuned | {effect['kind']}, {percent} interval | verdict |",
        "|---|---|---|---|---|",
        f"| {plain(fmt.metric(effect['metric']))} | {best} | {fmt.number(effect['tuned'])} | {change} | {effect['verdict']} |",
        "",
        f"| metric | base | fine-tuned | lift, {percent} interval | verdict |",
        "|---|---|---|---|---|",
    ]
    for comparison in row["comparisons"]:
        scores = f"{fmt.score(comparison, 'base')} | {fmt.score(comparison, 'tuned')}"
        verdict = comparison["verdict"] or "exploratory"
        lines.append(f"| {plain(fmt.metric(comparison['metric']))} | {scores} | {fmt.lift(comparison)} | {verdict} |")
    others = [(arm, over) for arm in row["arms"] if arm["name"] not in ("base", "tuned") and (over := arm["tuned_over"])]
    if others:
        lines += ["", f"| other arm | score | fine-tuned vs. this arm, {percent} interval |", "|---|---|---|"]
        lines += [f"| {plain(arm['label'])} | {fmt.number(arm['score'])} | {fmt.lift(over)} |" for arm, over in others]
    n = row["comparisons"][0]["n"]
    seeds = f"; fine-tuned is the mean of {len(row['seeds'])} training seeds" if len(row["seeds"]) > 1 else ""
    return f"## Results\n\nBase and fine-tuned on the same {n:,} test examples{seeds}.\n\n" + "\n".join(lines)


def other_tasks_table(report: Report, row: CellRow) -> str:
    """Regressions on other tasks; the base scores too low on a suite without a claim."""
    suites = row["forgetting"]
    if not suites:
        return ""
    lines = ["| evaluated on | verdict | change | margin | base | fine-tuned |", "|---|---|---|---|---|---|"]
    verdicts = suite_verdicts(report)
    for suite in suites:
        change = f"{fmt.signed(suite['difference'], 3)} [{fmt.number(suite['low'], 3)}, {fmt.number(suite['high'], 3)}]"
        scores = f"{fmt.number(suite['base'], 3)} | {fmt.number(suite['tuned'], 3)}"
        verdict = verdicts.get((row["cell"], suite["suite"]), NOT_TESTABLE)
        lines.append(f"| {plain(suite['label'])} | {verdict} | {change} | {suite['margin']:+g} | {scores} |")
    meaning = (
        "Change: fine-tuned minus base; for a loss, higher is worse. No regression: the drop is shown to be below the margin. "
        "Regressed: shown to exceed it. Inconclusive: neither. Not testable: the base does not beat a constant answer there."
    )
    return f"## Regressions on other tasks\n\n{meaning}\n\n" + "\n".join(lines)


def limits(report: Report, row: CellRow, trained: TrainedAdapter) -> str:
    """What the figures do not say, and where they come from."""
    seeds = len(row["seeds"])
    n = fmt.count(row["comparisons"][0]["n"])
    others = "and on the other tasks above" if row["forgetting"] else "only; other tasks were not evaluated"
    lines = [f"Evaluated on {n} test examples of {plain(trained.cell.task)} {others}."]
    if trained.cell.variant:
        lines.append("It was trained elsewhere: its training data are unknown, and so is whether they hold test examples.")
        lines += trained.adapter.facts["warnings"]
    if seeds == 1 and not trained.cell.variant:
        lines.append("One training seed: intervals reflect test-set sampling only, not run-to-run variance.")
    elif seeds > 1:
        lines.append(f"Intervals cover other training seeds ({seeds - 1} degrees of freedom); on other tasks test-set sampling only.")
    counts = next((answers for answers in row["answers"] if answers["arm"] == trained.cell.tuned_name(trained.seed)), None)
    if counts and counts["unparsed"]:
        lines.append(f"{fmt.share(counts['unparsed'], counts['n'])} of its outputs are unparsable.")
    if not license_of(trained.cell.base, trained.adapter):
        lines.append("The license of the base is unknown here; it applies to this adapter too.")
    origin = f"Recipe `{plain(report['name'])}`, artifact `{trained.adapter.key}`, made by loralift."
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines) + f"\n\n{origin}"
