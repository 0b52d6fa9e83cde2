"""Makes a task of a definition of lm-evaluation-harness: its documents become examples, its metrics those of the task."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.config.schema import HARNESS_TASK, LmEval
from pipeline.data.hub_splits import offline_reason, without_network
from pipeline.data.task import Row, Source, Task
from pipeline.errors import DataError
from pipeline.harness import definition as definitions
from pipeline.harness import documents, library
from pipeline.harness.definition import Role
from pipeline.models import hub, renderer
from pipeline.models.harness_renderer import HarnessRenderer
from pipeline.store.artifact import canonical, file_hash
from pipeline.store.records import HARNESS_EXTRA, Example

TASK_KEY = "lm_eval"
"""Key of a task's spec that is a definition of lm-evaluation-harness."""
Spec = dict[str, Any]
"""A Definition as JSON, with `shots` (few-shot examples in each prompt) and, for prompts by a chat template, `chat`: the base's spec."""


def is_name(entry: object) -> bool:
    """Whether a name in a recipe means a task of lm-evaluation-harness."""
    return isinstance(entry, str) and entry.startswith(library.PREFIX)


def is_task_name(name: str) -> bool:
    """Whether it is the name of such a Task, as folders have it."""
    return name.startswith(HARNESS_TASK)


def in_recipe(name: str) -> str:
    """The name of such a Task as a recipe writes it."""
    return library.PREFIX + name.removeprefix(HARNESS_TASK)


def is_spec(spec: object) -> bool:
    return isinstance(spec, dict) and TASK_KEY in spec


def resolve(name: str, role: Role, section: LmEval, base: dict[str, Any], ask: bool) -> Spec:
    """The spec of a task by its name in a recipe.

    Args:
        base: the spec of the base model, whose chat template may be asked for.
        ask: ask the hub for the commit of a data set that this machine does not know.

    Raises:
        RecipeError, DataError, MachineError: there is no such task, it cannot be run here, or a local file of it is missing.
    """
    short = name.removeprefix(library.PREFIX)
    definition = definitions.define(short, role, section.include or "", section.metrics.get(short, ""))
    for source in definition["tasks"].values():
        if missing := [file for file in source["files"] if not is_remote(file) and not Path(file).is_file()]:
            raise DataError(f"{name}: there is no file {missing[0]}.", f"Its YAML names it; paths there start at {Path.cwd()}.")
        source["revision"] = source["revision"] or ("" if source["files"] else commit(source["path"], ask))
    return {**definition, "shots": 0, **({"chat": base} if section.apply_chat_template else {})}


def is_remote(file: str) -> bool:
    return "://" in file


@lru_cache(maxsize=256)
def commit(path: str, ask: bool) -> str:
    """The commit of a data set on the hub: as the cache knows it, else today's; empty where neither is known."""
    from huggingface_hub import HfApi, constants

    if cached := hub.known_commit("datasets", path, None):
        return cached
    if not ask or constants.HF_HUB_OFFLINE or hub.offline_reason() or "/" not in path:
        return ""
    try:
        latest = str(HfApi().dataset_info(path).sha)
    except Exception:  # that it is out of reach is said before the run, with the reason
        return ""
    ref = hub.cache_path("datasets", path, "refs/main")
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(latest, "utf-8")
    return latest


def few_shot_count(spec: Spec, requested: int | None, otherwise: int) -> int:
    """Few-shot examples of the arm base_fewshot: as the recipe asks, else the task's own number, else `otherwise`; 0 where the task
    itself says 0, which lm-eval never overrides."""
    if spec["num_fewshot"] == 0:
        return 0
    return int(requested if requested is not None else spec["num_fewshot"] or otherwise)


def local_files(definition: str) -> dict[str, str]:
    """By path, the SHA-256 of every local data file.

    Args:
        definition: as JSON.
    """
    files = {file for source in json.loads(definition)["tasks"].values() for file in source["files"] if not is_remote(file)}
    return {file: file_hash(Path(file)) for file in sorted(files)}


def build_task(spec: Spec) -> Task:
    """The task of a spec; lm-eval is not loaded."""
    return Task(
        name=HARNESS_TASK + spec["lm_eval"],
        about=f"of lm-evaluation-harness {spec['version']}",
        train=(source_of(spec, "train"),),
        heldout=(source_of(spec, "heldout"),),
        example=example_of,
        answer=answer_of,
        metrics=tuple(f"{library.PREFIX}{metric}" for metric in spec["metrics"]),
        max_new_tokens=spec["max_new_tokens"],
        stop=tuple(spec["stop"]),
        harness=canonical({key: value for key, value in spec.items() if key not in ("shots", "chat")}),
        likelihoods=spec["output_type"] in definitions.SCORED,
        may_be_empty=True,
    )


def source_of(spec: Spec, part: str) -> Source:
    """The source of a split. Its parts are what must be within reach before it is read."""
    used = [source for source in spec["tasks"].values() if not source["files"] and "/" in source["path"]]
    repositories = {source["path"]: Source(source[part], hub=source["path"], revision=source["revision"] or None) for source in used}
    splits = {source[part] for source in spec["tasks"].values()}
    return Source("/".join(sorted(splits)), parts=tuple(repositories.values()), fetch=lambda offline: rows(canonical(spec), part, offline))


@lru_cache(maxsize=4)
def rows(spec_json: str, part: str, offline: bool) -> list[Row]:
    """The requests of a split.

    Raises:
        DataError: its documents do not load.
    """
    spec = json.loads(spec_json)
    reason = offline_reason(offline)
    template = chat_template(spec)
    with without_network(bool(reason)):
        requests = documents.train(spec, template) if part == "train" else documents.heldout(spec, spec["shots"], template)
        return list(with_ids(requests, part))


def chat_template(spec: Spec) -> documents.ChatTemplate | None:
    if "chat" not in spec:
        return None
    render = renderer.renderer(spec["chat"] | {"prompts": "lm_eval"})
    assert isinstance(render, HarnessRenderer)
    return render.message_text


def with_ids(requests: Iterator[documents.Request], part: str) -> Iterator[Row]:
    """Rows of requests, named by their task and number; of training documents only prompt and target are kept."""
    counts: dict[str, int] = {}
    for request in requests:
        task = request["task"]
        counts[task] = counts.get(task, -1) + 1
        row: Row = {"id": f"{task}-{counts[task]}" if part == "heldout" else f"{task}-train-{counts[task]}", **request}
        yield {**row, "part": part}


def example_of(row: Row) -> Example:
    """The example of a request. Blanks that end a prompt lead its target, as they do where lm-eval scores likelihoods."""
    prompt, target = row["context"], row["target"]
    stripped = prompt.rstrip() if row["pairs"] else prompt
    target = prompt[len(stripped) :] + target
    if row["part"] == "train":
        return Example(row["id"], stripped, target)
    extra = {"task": row["task"], "document": plain(row["document"]), **({"pairs": row["pairs"]} if row["pairs"] else {})}
    return Example(row["id"], prompt, target, extra={HARNESS_EXTRA: extra})


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """A document as JSON values; dates and the like as text."""
    values: dict[str, Any] = json.loads(json.dumps(document, default=str))
    return values


def answer_of(text: str, example: Example) -> str:
    """The answer, unparsed: lm-eval's own filters read it."""
    del example
    return text
