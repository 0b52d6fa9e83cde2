"""Describes in a model card how its adapter was made: data, hyperparameters, hardware, versions, and the form of its prompts."""

import re
from collections.abc import Iterable
from typing import Any

from pipeline.data import task as tasks
from pipeline.models import module_ranks
from pipeline.page import fmt
from pipeline.page.cells import Cell
from pipeline.page.render import plain
from pipeline.page.setup_section import UNKNOWN, processor
from pipeline.page.training_section import source_of
from pipeline.store.artifact import Artifact
from pipeline.store.folders import TrainFolder
from pipeline.store.records import JsonObject

PACKAGES = ("peft", "transformers", "torch", "bitsandbytes", "tokenizers", "datasets", "accelerate", "loralift")
"""Packages whose versions a card names, as far as the run had them."""
QUANTIZATIONS = {"nf4": "NF4 with double quantization", "none": "none"}


def hub_page(spec: JsonObject) -> str:
    """The base's hub id as a link, with its commit; empty for a base that is not on the hub."""
    if not spec.get("repo"):
        return ""
    revision = f" at `{spec['revision']}`" if spec.get("revision") else ""
    return f"[{plain(spec['repo'])}](https://huggingface.co/{spec['repo']}){revision}"


def training(cell: Cell, adapter: Artifact) -> str:
    """A table of what one would set to train it again, with the data, the time and the versions."""
    trained = [*data_rows(cell), *hyperparameters(cell, adapter), *run_rows(adapter)] if cell.variant is None else []
    rows = trained or imported_rows(cell, adapter)
    table = [f"| {name} | {value} |" for name, value in rows if value]
    return "\n".join(["## Training", "", "| | |", "|---|---|", *table])


def imported_rows(cell: Cell, adapter: Artifact) -> Iterable[tuple[str, str]]:
    """What the files of an adapter from elsewhere say, and what they do not."""
    facts, heldout = adapter.facts, cell.inputs["heldout"].facts
    yield "from", plain(source_of(adapter))
    yield "training data, time, cost and settings", UNKNOWN
    yield "rank (r)", f"{', '.join(map(str, facts['rank']))}{', rsLoRA' if facts['rslora'] else ''}{', DoRA' if facts['dora'] else ''}"
    yield "alpha (lora_alpha)", f"{facts['alpha']:g}"
    yield "target modules", target_modules(None, facts["targets"])
    yield "modules replaced as a whole (modules_to_save)", ", ".join(facts["modules_to_save"])
    yield "test rows", fmt.count(heldout["examples"])


def data_rows(cell: Cell) -> Iterable[tuple[str, str]]:
    """Where the rows come from, and how many of them were used."""
    train, heldout = cell.inputs["train"].facts, cell.inputs["heldout"].facts
    available = f" of {fmt.count(train['rows'])} rows" if train.get("rows") else ""
    yield "data", data_source(train.get("source", {}), cell.inputs["train"].params.get("task"))
    yield "training rows", f"{fmt.count(train['examples'])}{available}"
    yield "validation rows", fmt.count(train["dev"]) if train.get("dev") else ""
    yield "test rows", fmt.count(heldout["examples"]) + (f" of {fmt.count(heldout['rows'])}" if heldout.get("rows") else "")
    dropped = sum(train.get("dropped", {}).values())
    yield "rows dropped as unusable", fmt.count(dropped) if dropped else ""
    copies = train.get("overlap_exact", 0) + train.get("overlap_near", 0)
    yield "training rows removed as duplicates of test prompts", fmt.count(copies) if copies else ""


def data_source(source: JsonObject, task: Any) -> str:
    """A hub data set with its commit; of local files no path, which says something of one machine only."""
    if source.get("hub"):
        revision = f" at `{source['revision']}`" if source.get("revision") else ""
        return f"[{plain(source['hub'])}](https://huggingface.co/datasets/{source['hub']}){revision}"
    return "synthetic, made by loralift" if isinstance(task, str) and is_synthetic(task) else "local files"


def is_synthetic(task: str) -> bool:
    """Whether a shipped task makes its rows from code alone."""
    return all(source.make is not None for source in tasks.find(task).train)


def hyperparameters(cell: Cell, adapter: Artifact) -> Iterable[tuple[str, str]]:
    """What is set in the recipe, in the names of peft and transformers."""
    params, facts = adapter.params, adapter.facts
    settings = {"rank": cell.rank, "alpha_per_rank": None, "rslora": False, **params}
    yield "rank (r)", f"{settings['rank']}{', rsLoRA' if settings['rslora'] else ''}{', DoRA' if params.get('dora') else ''}"
    yield "alpha (lora_alpha)", f"{module_ranks.alpha(settings['rank'], settings):g}" if settings["alpha_per_rank"] else ""
    yield from method_rows(params)
    yield "dropout (lora_dropout)", setting(params, "dropout")
    yield "target modules", target_modules(params.get("targets"), facts.get("targets", []))
    yield "base weights in training", QUANTIZATIONS.get(str(params.get("quantization")), "")
    yield "compute type", setting(params, "compute")
    yield "learning rate", setting(params, "learning_rate")
    yield "schedule", f"{params['schedule']}, warm-up ratio {params['warmup']:g}" if "schedule" in params else ""
    yield (
        "optimizer",
        f"AdamW, weight decay {params['weight_decay']:g}, gradient norm at most {params['max_grad_norm']:g}"
        if ("weight_decay" in params)
        else "",
    )
    yield "effective batch size", setting(params, "batch_examples") + (", packed" if params.get("packing") else "")
    yield "epochs", setting(params, "epochs") + (f", at most {fmt.count(params['max_steps'])} steps" if params.get("max_steps") else "")
    yield "optimizer steps", fmt.count(facts["steps"])
    chosen = {"best": "lowest validation loss", "last": "the last"}.get(str(params.get("keep")), "")
    yield "checkpoint", f"step {fmt.count(facts['kept_step'])}, {chosen}" if chosen and facts.get("kept_step") is not None else ""
    yield "maximum length", f"{fmt.count(length)} tokens" if (length := cell.inputs["train"].params.get("max_tokens")) else ""
    yield "training tokens", tokens(facts)
    yield "seed", setting(params, "seed")


def method_rows(params: JsonObject) -> Iterable[tuple[str, str]]:
    """What differs from plain LoRA in how the adapter begins, where it is and how it learns; rows of other methods are empty."""
    rho = params.get("eva_rho")
    yield "ranks", f"allocated by AdaLoRA; {params['rank']} is their mean" if params.get("adapter_kind") == "adalora" else ""
    yield "initial weights (init_lora_weights)", "" if params.get("init", "default") == "default" else plain(params["init"])
    yield "ranks of EVA", f"by explained variance, at most {rho:g} times the rank" if rho else ""
    for key in ("rank_pattern", "alpha_pattern"):
        yield key, ", ".join(f"`{pattern}`: {value:g}" for pattern, value in (params.get(key) or {}).items())
    yield "layers (layers_to_transform)", ", ".join(map(str, params.get("layers") or ()))
    yield "LoRA+ (loraplus_lr_ratio)", f"{ratio:g}" if (ratio := params.get("loraplus_lr_ratio")) else ""
    yield "LoRA-FA", "A is frozen" if params.get("lora_fa") else ""


def setting(params: JsonObject, name: str) -> str:
    return fmt.setting(params[name]) if name in params else ""


def target_modules(targets: Any, modules: list[str]) -> str:
    """What the recipe says, and the modules that this means in the base."""
    names = sorted({name.rpartition(".")[2] for name in modules})
    in_recipe = fmt.setting(targets) if targets else ""
    return f"{in_recipe}: {', '.join(names)}" if names and isinstance(targets, str) else in_recipe or ", ".join(names)


def tokens(facts: JsonObject) -> str:
    """All tokens of the training, and those that carry loss."""
    if not facts.get("tokens"):
        return ""
    return f"{fmt.count(facts['tokens'])}" + (f", {fmt.count(facts['target_tokens'])} with loss" if facts.get("target_tokens") else "")


def run_rows(adapter: Artifact) -> Iterable[tuple[str, str]]:
    """Hardware, time and versions of this adapter's training."""
    run = adapter.provenance
    yield "hardware", plain(processor(adapter))
    yield "training time", fmt.seconds(adapter.facts.get("train_seconds", run.get("seconds")))
    peak = (run.get("peak") or {}).get("cuda")
    yield "peak GPU memory", fmt.size(peak) if peak else ""
    packages = run.get("packages", {})
    versions = [f"{name} {packages[name]}" for name in PACKAGES if packages.get(name)]
    yield "versions", ", ".join([*versions, *([f"Python {run['python']}"] if run.get("python") else [])])


def prompts(cell: Cell, adapter: Artifact) -> str:
    """The form of prompt and answer. Rows of a user's data are not quoted: a card is published, the data may not be."""
    task = cell.inputs["heldout"].params.get("task")
    if isinstance(task, dict) and task.get("prompt"):
        choices = f" One of: {', '.join(map(plain, task['choices']))}." if task.get("choices") else ""
        form = filled_in(task["prompt"], task["target"])
        text = f"Prompt and answer as in the recipe; `{{column}}` is a column of a row.{choices}\n\n{form}"
    elif isinstance(task, str) and is_synthetic(task):
        first = TrainFolder(cell.inputs["train"].path).examples()[0]
        text = f"The first training row, filled in (synthetic data):\n\n{filled_in(first.text, first.target)}"
    elif isinstance(task, str):
        text = f"Prompts are those of loralift's task `{task}`; `loralift show-prompt` prints them."
    else:
        return ""
    model = adapter.params.get("model") or {}
    form = {True: CHAT, False: NO_CHAT, None: AS_TOKENIZER}[model.get("chat", False)]
    code = form.replace("enable_thinking=False", f"enable_thinking={model.get('thinking', False)}")
    return f"## Prompt\n\n{text}\n\n{code}"


CHAT = """The prompt is a user's turn of the tokenizer's chat template:

```python
turns = [{"role": "user", "content": text}]  # text: the prompt above, filled in
prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False, enable_thinking=False)
```"""
NO_CHAT = """The prompt is plain text, with the tokenizer's start token if it has one, and no chat template:

```python
prompt = tokenizer.decode(tokenizer(text)["input_ids"])  # text: the prompt above, filled in
```"""

AS_TOKENIZER = """The prompt is a user's turn of the tokenizer's chat template, or plain text where it has none:

```python
turns = [{"role": "user", "content": text}]  # text: the prompt above, filled in
if tokenizer.chat_template:
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False, enable_thinking=False)
else:
    prompt = tokenizer.decode(tokenizer(text)["input_ids"])
```"""


def filled_in(prompt: str, target: str) -> str:
    """Prompt and answer in two blocks of text, whatever they hold."""
    return f"{block(prompt)}\n\nAnswer:\n\n{block(target)}"


def block(text: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"
