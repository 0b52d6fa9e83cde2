"""Composes the command that starts vLLM's OpenAI server over a base and its adapters, and refuses what vLLM would not serve as it is

The options are those of `vllm serve` in 0.33; docs/serve.md says what differs from our own server.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models.adapter_source import CONFIG, read_config
from pipeline.models.renderer import FIXED_DATE_MACRO, Renderer
from pipeline.serving.adapter_tensors import tensor_names
from pipeline.serving.server import GRACE_SECONDS, ServedModels

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values of --max-lora-rank."""
ENDS = ("embed_tokens", "wte", "embed_in", "lm_head", "embed_out")
"""Names of embeddings and output layers."""
OWN_SERVER = "Leave out --engine vllm: our own server takes it."
MERGE = "Leave out --engine vllm, or merge it into its base: loralift export --form merged."
PLAIN_TEMPLATE = (
    "{%- if messages | length > 1 or messages[0]['role'] != 'user' -%}"
    "{{- raise_exception('the base is prompted with plain text, so a prompt is one turn of the user') -}}{%- endif -%}"
    "{%- set text = messages[0]['content'].rstrip(' ') -%}{{- START + text -}}"
)
"""The prompt of a base without a chat template: the text of the one turn, as renderer.py renders it."""
BLANK = "{%- if text and not text[-1].isspace() -%}{{- ' ' -}}{%- endif -%}"
"""Ends it where words of the tokenizer end with a blank."""


@dataclass(frozen=True)
class VllmFiles:
    """What is written for vLLM before it starts."""

    weights: Path
    """Folder of the base's checkpoint, with its tokenizer."""
    settings: Path
    """Folder of generation_config.json, which names every id that ends an answer."""
    template: Path
    """Chat template."""


@dataclass(frozen=True)
class Listening:
    host: str
    port: int
    max_adapters: int
    """Adapters in the memory of the device at once."""
    more: Sequence[str] = ()
    """Further options of vLLM."""


def arguments(models: ServedModels, files: VllmFiles, listening: Listening) -> list[str]:
    """What follows `vllm`: the same ids, prompts, end tokens and greedy default as our own server has. The key is in its environment."""
    switch = json.dumps({"enable_thinking": bool(models.thinkers)})
    trust = ["--trust-remote-code"] if models.params["model"]["trust_remote_code"] else []
    return [
        "serve", str(files.weights), "--served-model-name", models.base, "--host", listening.host, "--port", str(listening.port),
        "--dtype", "bfloat16", "--chat-template", str(files.template), "--default-chat-template-kwargs", switch,
        "--generation-config", str(files.settings), "--override-generation-config", json.dumps({"temperature": 0.0}),
        "--shutdown-timeout", str(GRACE_SECONDS), *trust, *lora_arguments(models, listening.max_adapters), *listening.more,
    ]  # fmt: skip


def lora_arguments(models: ServedModels, max_adapters: int) -> list[str]:
    """The options for adapters; none where there are none."""
    if not models.adapters:
        return []
    rank = max(map(highest_rank, map(read_config, models.adapters.values())))
    modules = [{"name": name, "path": str(folder.absolute()), "base_model_name": models.base} for name, folder in models.adapters.items()]
    return [
        "--enable-lora", "--max-lora-rank", str(next(value for value in RANKS if value >= rank)),
        "--max-loras", str(min(max_adapters, len(modules))), "--max-cpu-loras", str(len(modules)),
        "--lora-modules", *map(json.dumps, modules),
    ]  # fmt: skip


def highest_rank(config: Mapping[str, Any]) -> int:
    """Of the modules of an adapter."""
    return int(max([config["r"], *(config.get("rank_pattern") or {}).values()]))


def check(models: ServedModels) -> None:
    """Raise ModelError for what vLLM would refuse, or would answer otherwise than it was measured."""
    if models.params["compute"] != "bf16":
        problem = f"vLLM computes adapters in 16 bit, and {models.base} answers in {models.params['compute']} (generate.compute)"
        raise ModelError(problem, "Say generate.compute=bf16, or leave out --engine vllm.")
    for name, folder in models.adapters.items():
        if reason := unserved(folder):
            raise ModelError(f"{name}: vLLM does not serve {reason}", OWN_SERVER if "DoRA" in reason else MERGE)
    others = sorted(models.adapters.keys() - models.thinkers)
    if models.thinkers and others:
        one = min(models.thinkers)
        problem = f"{one} was trained with the thinking switch on, and {others[0]} with it off; vLLM has one switch for all models"
        raise ModelError(problem, "Serve them apart, or leave out --engine vllm.")


def unserved(folder: Path) -> str:
    """What vLLM does not serve of an adapter, or not on every architecture; empty for plain LoRA and rsLoRA on linear modules."""
    config, names = read_config(folder), tensor_names(folder)
    if config.get("use_dora"):
        return f"DoRA (use_dora in {CONFIG})"
    if modules := ", ".join(sorted(config.get("modules_to_save") or ())):
        return f"whole modules (modules_to_save: {modules})"
    if config.get("lora_bias") or (config.get("bias") or "none") != "none":
        return f"adapters with biases (bias or lora_bias in {CONFIG})"
    if (rank := highest_rank(config)) > RANKS[-1]:
        return f"ranks above {RANKS[-1]}, and it has {rank}"
    if ends := sorted({part for name in names for part in name.split(".") if part in ENDS}):
        return f"LoRA on embedding and output layer of every architecture ({', '.join(ends)})"
    if any(".experts." in name for name in names):
        return "LoRA on single experts as peft names them"
    return ""


def chat_template(render: Renderer) -> str:
    """The template by which vLLM renders a conversation as training did."""
    if render.chat:
        return FIXED_DATE_MACRO + str(render.tokenizer.get_chat_template())
    start = render.tokenizer.bos_token if render.adds_start else ""
    return PLAIN_TEMPLATE.replace("START", json.dumps(start)) + ("" if render.words_start_with_space else BLANK)


def prompt_ids(render: Renderer, template: str, messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """The ids that vLLM makes of a conversation: it renders the template, and reads the text without adding special tokens."""
    text = render.tokenizer.apply_chat_template(
        messages, chat_template=template, add_generation_prompt=True, tokenize=False, enable_thinking=render.thinking
    )
    ids: list[int] = render.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
