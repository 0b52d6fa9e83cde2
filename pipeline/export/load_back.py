"""Loads an export with the library that will run it, from its folder alone, and lets it answer"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.engine.batching import TokenRow
from pipeline.engine.transformers_backend import TransformersBackend
from pipeline.errors import ModelError
from pipeline.export import gguf_back
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.loaded import Loaded, target_logits
from pipeline.export.request import Form
from pipeline.machine import Machine, Work
from pipeline.models import dense_weights, loading, renderer
from pipeline.models.loading import Precision
from pipeline.stages import generate
from pipeline.store.records import Prediction

LOGIT_PROMPTS = 16
"""Test examples whose logits are compared."""
LOGIT_TOKENS = 16
"""Tokens of a target, at most, before each of which the logits are compared, and after the last."""


@dataclass(frozen=True)
class Behaviour:
    """What an export does on the test examples."""

    predictions: list[Prediction]
    logits: list[Any]
    """Of some examples those before each token of the target and after it (tokens, vocabulary), float32 on the CPU."""
    library: str
    """What loaded it."""
    equal_prompts: int | None
    """Prompts that it reads as the ids that the adapter had; None: that was not tried."""


def reference_logits(tuned: FineTuned, machine: Machine) -> list[Any]:
    """The logits of the adapter on its base, as it was compared."""
    render = renderer.renderer(tuned.spec)
    with adapted(tuned, tuned.trained.adapter.path, machine) as model, dense_weights.dequantized(model):
        return target_logits(model, logit_rows(tuned, render))


def behaviour(tuned: FineTuned, form: Form, folder: Path, machine: Machine, limit: int | None) -> Behaviour:
    """Load the export and let it answer the first `limit` test examples, or all.

    Raises:
        ModelError: it does not load, or its tokenizer renders a prompt with other ids than the base's.
    """
    base_render = renderer.renderer(tuned.spec)
    opened = gguf_back.opened if form.gguf else by_transformers
    with opened(tuned, form, folder, machine) as loaded, TemporaryDirectory() as resume:
        params = {**tuned.loading, "score_choices": False, "samples": 0}
        inputs = {"heldout": tuned.trained.cell.inputs["heldout"].path}
        work = Work(params, inputs, folder, Path(resume), machine)
        prompts = generate.build_prompts(work, loaded.render, loaded.backend.context_window)
        base = generate.build_prompts(work, base_render, loaded.backend.context_window)
        check_ids(prompts, base)
        prompts = replace(prompts, examples=prompts.examples[:limit], ids=prompts.ids[:limit])
        equal = None if form.gguf else len(prompts.ids)
        if loaded.prompt_ids:
            read = [loaded.prompt_ids(example.prompt) for example in prompts.examples]
            equal = sum(one == other for one, other in zip(read, prompts.ids, strict=True))
            prompts = replace(prompts, ids=read)
        predictions = generate.ArmAnswers(work, loaded.backend, loaded.render, prompts).in_its_way()
        logits = loaded.target_logits(logit_rows(tuned, base_render))
        return Behaviour(predictions, logits, loaded.library, equal)


@contextmanager
def by_transformers(tuned: FineTuned, form: Form, folder: Path, machine: Machine) -> Iterator[Loaded]:
    """Load a folder of safetensors: an adapter on its base by peft, or a merged model."""
    spec = tuned.spec
    switches = spec.get("prompts", ""), spec.get("thinking", False)
    render = renderer.read_renderer(folder, spec["chat"], spec["trust_remote_code"], *switches)
    opened = merged(tuned, folder, machine) if form.merge else adapted(tuned, folder, machine)
    with opened as model, dense_weights.dequantized(model) as weights:
        backend = TransformersBackend(model, render, machine.tokens, weights.are_held)
        backend.eos_ids = end_ids(folder)
        library = "transformers" if form.merge else "peft on its base"
        yield Loaded(backend, render, library, lambda rows: target_logits(model, rows))


def check_ids(exported: generate.Prompts, base: generate.Prompts) -> None:
    """Raise ModelError where prompts have other token ids than those that the adapter answered."""
    if changed := [example.id for example, one, other in zip(base.examples, exported.ids, base.ids, strict=True) if one != other]:
        raise ModelError(
            f"the exported tokenizer renders {len(changed)} of {len(base.ids)} prompts with other token ids, the first {changed[0]}",
            "The base's tokenizer does not survive save_pretrained; report it to whoever made it.",
        )


def adapted(tuned: FineTuned, folder: Path, machine: Machine) -> AbstractContextManager[Any]:
    """The base with the adapter of a folder, by peft."""
    base = loading.load(tuned.spec, tuned.loading["quantization"], tuned.loading["compute"], machine.torch_device())
    return loading.adapted(base, folder)


def merged(tuned: FineTuned, folder: Path, machine: Machine) -> AbstractContextManager[Any]:
    """The merged model of a folder, by transformers; every tensor of it must be there."""
    return nullcontext(loading.read_model(folder, False, Precision("none", tuned.loading["compute"]), machine.torch_device()))


def end_ids(folder: Path) -> tuple[int, ...]:
    """The ids that end an answer, as the generation_config.json of an export has them: a list."""
    from transformers import GenerationConfig

    return tuple(GenerationConfig.from_pretrained(folder).eos_token_id)


def logit_rows(tuned: FineTuned, render: renderer.Renderer) -> list[TokenRow]:
    """The first prompts with the beginning of their targets."""
    room = loading.configured_window(tuned.spec) - LOGIT_TOKENS
    rows = []
    for example in tuned.examples[:LOGIT_PROMPTS]:
        prompt = render.fitted(render.prompt_ids(example.prompt), room)
        rows.append(TokenRow.from_prompt(prompt, render.answer_ids(example.prompt, example.target)[:LOGIT_TOKENS]))
    return rows
