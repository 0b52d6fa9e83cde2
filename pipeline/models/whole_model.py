"""Loads a fine-tuned model in place of an adapter, alone or beside its base, and examines whether it differs from it."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import base_model, liveness, loading
from pipeline.models.renderer import Renderer
from pipeline.store.artifact import Artifact
from pipeline.store.folders import LivenessMeasures, ModelFolder


class Beside:
    """A fine-tuned model with its base beside it: to callers what a PeftModel is, whose adapter can be switched off."""

    def __init__(self, tuned: Any, base: Any) -> None:
        self.tuned = tuned
        self.base = base
        self.current = tuned

    def __call__(self, **inputs: Any) -> Any:
        return self.current(**inputs)

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Let the base answer for a while."""
        self.current = self.base
        try:
            yield
        finally:
            self.current = self.tuned

    def modules(self) -> Iterator[Any]:
        """Those of both models."""
        yield from self.tuned.modules()
        yield from self.base.modules()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tuned, name)


def load(params: Mapping[str, Any], folder: Path, device: Any) -> Any:
    """The fine-tuned model, quantized as the base is.

    Args:
        params: of the job: quantization and compute.
        folder: from import_model.

    Raises:
        ModelError: the weights cannot be read.
    """
    return loading.load(ModelFolder(folder).spec(), params["quantization"], params["compute"], device)


@contextmanager
def beside(params: Mapping[str, Any], folder: Path, base: Any) -> Iterator[Beside]:
    """The fine-tuned model and its base, both in memory."""
    yield Beside(load(params, folder, base.device), base)


def examine(params: Mapping[str, Any], folder: Path, prompts: Sequence[Sequence[int]], device: Any) -> LivenessMeasures:
    """Measure whether a fine-tuned model answers otherwise than its base; one of both is in memory at a time.

    Args:
        params, folder: as for load; params also name the base.
        prompts: token ids; the first PROBES are read.
    """
    probes = prompts[: liveness.PROBES]
    tuned = [liveness.next_token_logits(load(params, folder, device), ids).cpu() for ids in probes]
    gc.collect()
    base_weights = loading.load(params["model"], params["quantization"], params["compute"], device)
    base = [liveness.next_token_logits(base_weights, ids).cpu() for ids in probes]
    facts = Artifact.open(folder).facts
    return {
        "tensors": facts["changed_tensors"],
        "zero_tensors": [],
        "targets": len(facts["targets"]),
        "unmatched": [],
        "probes": len(probes),
        "largest_logit_difference": max(liveness.largest_difference(one, other) for one, other in zip(tuned, base, strict=True)),
    }


def check_ids(folder: Path, render: Renderer, prompts: Sequence[Sequence[int]]) -> None:
    """Raise ModelError if the fine-tuned model's own tokenizer gives other ids to held-out prompts than the base's.

    Args:
        folder: from import_model.
        render: of the base.
        prompts: token ids, as the base has them.
    """
    from transformers import AutoTokenizer

    spec = ModelFolder(folder).spec()
    files = base_model.local_folder(spec)
    if not any((files / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")):
        return  # the report warns that it has none
    try:
        tokenizer = AutoTokenizer.from_pretrained(files, trust_remote_code=spec["trust_remote_code"])
    except Exception as error:  # of the library, which has a type for every kind of odd file
        raise ModelError(f"the tokenizer in {files} cannot be read: {' '.join(str(error).split())[:200]}", "Save it again.") from None
    texts = [render.tokenizer.decode(ids, skip_special_tokens=False) for ids in prompts]
    other = [place for place, text in enumerate(texts) if tokenizer(text, add_special_tokens=False)["input_ids"] != render.encode(text)]
    if other:
        raise ModelError(
            f"{files} has another tokenizer than the base: {len(other)} of {len(prompts)} test prompts get other token ids, "
            f"the first {texts[other[0]][:60]!r}",
            "Name the base that it was fine-tuned from.",
        )
