"""Writes README.md of an export: a model card with what the export loses, how to load it, and what is measured of its adapter"""

from pipeline.export import gguf_card
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.measurement import Measurement
from pipeline.export.request import ExportRequest, Form
from pipeline.measures.report_types import Report
from pipeline.models import adapter_kinds
from pipeline.page import card_training, fmt, model_card
from pipeline.page.render import plain
from pipeline.store.records import JsonObject


def readme(tuned: FineTuned, request: ExportRequest, measured: Measurement) -> str:
    """Front matter as the hub reads it, then Markdown."""
    import yaml

    trained, name = tuned.trained, request.out.absolute().name
    front_matter = yaml.safe_dump(metadata(tuned, request.form, name, measured), sort_keys=False, allow_unicode=True)
    parts = [
        model_card.opening(trained).replace(f"# {plain(trained.name)}", f"# {plain(name)}", 1),
        loss_note(tuned.task.name, measured),
        *(gguf_card.usage(tuned, request.form, name) if request.form.gguf else usage(tuned, request.form, name)),
        card_training.prompts(trained.cell, trained.adapter),
        *([] if request.form.gguf else [model_card.generation_snippet(trained.answers)]),
        measured_section(measured),
        *(compared_sections(tuned, tuned.report) if tuned.report else [cut_note(tuned) or NOT_COMPARED]),
        card_training.training(trained.cell, trained.adapter),
    ]
    return f"---\n{front_matter}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


NOT_COMPARED = "The fine-tuned model was not compared with its base yet; `loralift compare` does it."


def cut_note(tuned: FineTuned) -> str:
    """What a cut adapter is; empty for any other."""
    if tuned.cut_from is None:
        return ""
    rank = tuned.trained.adapter.params["rank"]
    return (
        f"The adapter was trained at rank {tuned.cut_from} and then cut to rank {rank}: the update of every module is the nearest one of "
        f"that rank (SVD). It was not trained further; what follows is the training at rank {tuned.cut_from}. The report of "
        f"`{plain(tuned.recipe.name)}` compares the adapter before the cut with its base."
    )


def metadata(tuned: FineTuned, form: Form, name: str, measured: Measurement) -> JsonObject:
    """The front matter; the score is that of the export itself, if it answered every test example."""
    trained = tuned.trained
    base = model_card.base_of(trained.cell.base, trained.adapter)
    license_id = model_card.license_of(trained.cell.base, trained.adapter)
    score = {"type": measured["metric"], "name": fmt.metric(measured["metric"]), "value": round(measured["exported"], 6)}
    entry = {
        "task": {"type": "text-generation", "name": "Text Generation"},
        "dataset": model_card.data_set(trained.cell),
        "metrics": [score],
    }
    is_whole = measured["examples"] == measured["test_examples"]
    return {
        **({"base_model": base, "base_model_relation": "finetune" if form.merge else "adapter"} if base else {}),
        **({"datasets": [hub]} if (hub := trained.cell.train_facts.get("source", {}).get("hub")) else {}),
        "library_name": "llama.cpp" if form.gguf else "transformers" if form.merge else "peft",
        "pipeline_tag": "text-generation",
        **({"license": license_id} if license_id else {}),
        "tags": [adapter_kinds.of_params(trained.adapter.params).tag, *(["gguf"] if form.gguf else []), "loralift"],
        **({"model-index": [{"name": name, "results": [entry]}]} if is_whole else {}),
    }


def loss_note(task: str, measured: Measurement) -> str:
    """A warning where the export loses more than the margin."""
    if measured["outcome"] != "loss":
        return ""
    return (
        f"**Warning: this export scores {fmt.number(measured['exported'])} on {plain(task)} where the adapter scores "
        f"{fmt.number(measured['fine_tuned'])} ({plain(fmt.metric(measured['metric']))}): it loses more than the margin of "
        f"{measured['margin']:g}, and was exported all the same (--accept-loss).**"
    )


def usage(tuned: FineTuned, form: Form, name: str) -> list[str]:
    """Code that loads the export."""
    trained = tuned.trained
    if not form.merge:
        return [model_card.loading_snippet(trained.cell, trained.adapter, trained.answers, name)]
    code = f"""from transformers import AutoModelForCausalLM, AutoTokenizer

folder = {model_card.repr_of(name)}  # this folder, or its repository on the hub
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")"""
    return [f"{form.meaning} The result is an unquantized model of its own.\n\n## Use\n\n```python\n{code}\n```"]


def measured_section(measured: Measurement) -> str:
    """What the export loses, as export.json has it."""
    rows = "\n".join(f"| {plain(name)} | {value} |" for name, value in figures(measured))
    return (
        f"## Loaded back\n\nThis folder was loaded by {measured['loaded_by']}, and answered the test examples that the adapter had "
        f"answered before; `export.json` holds the figures, the machine and the versions.\n\n| | |\n|---|---|\n{rows}"
    )


def figures(measured: Measurement) -> list[tuple[str, str]]:
    """Name and value of what was measured, for people."""
    logits = measured["logits"]
    interval = f"{fmt.percent(measured['confidence'])} interval"
    change = fmt.change(measured["change"], measured["low"], measured["high"])
    answered = fmt.count(measured["examples"])
    if measured["examples"] < measured["test_examples"]:
        answered += f" of {fmt.count(measured['test_examples'])}"
    read = measured["equal_prompts"]
    return [
        (f"{fmt.metric(measured['metric'])}, fine-tuned", fmt.number(measured["fine_tuned"], 3)),
        (f"{fmt.metric(measured['metric'])}, exported", fmt.number(measured["exported"], 3)),
        (f"change, {interval}", f"{change}: {OUTCOMES[measured['outcome']].format(margin=measured['margin'])}"),
        ("test examples", answered),
        ("equal prompt tokens", NOT_READ if read is None else fmt.share(read, measured["examples"])),
        ("equal answers", fmt.share(measured["equal_answers"], measured["examples"])),
        ("largest logit error", f"{logits['largest']:.3g} ({logits['prompts']} prompts, {logits['tokens']} tokens)"),
        ("relative logit error (RMS)", f"{logits['relative']:.2g}"),
        ("same most likely token", fmt.percent_of_rate(logits["same_next_token"])),
    ]


NOT_READ = "not tried: llama-cpp-python is not installed"
OUTCOMES = {
    "same": "same within {margin:g}",
    "within": "no loss beyond {margin:g}, but not shown to be the same within it",
    "loss": "a loss beyond {margin:g}",
}
"""By outcome, what it means."""


def compared_sections(tuned: FineTuned, report: Report) -> list[str]:
    """What the report says of the adapter."""
    row = next(row for row in report["cells"] if row["cell"] == tuned.trained.cell.name)
    note = f"**{plain(report['preliminary']['sentence'])}**\n\n" if report["preliminary"] else ""
    return [
        f"## The adapter, before it was exported\n\n{note}{model_card.recommendation(report, row)}",
        model_card.results(report, row),
        model_card.other_tasks_table(report, row),
        model_card.limits(report, row, tuned.trained),
    ]
