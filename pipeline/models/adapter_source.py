"""Finds adapters from elsewhere, in a folder or on the hub, and refuses by their settings what is not LoRA on a frozen base."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import base_model, hub
from pipeline.store.artifact import MANIFEST, file_hash
from pipeline.store.folders import AdapterFolder
from pipeline.store.records import is_number

CONFIG, WEIGHTS = "adapter_config.json", AdapterFolder.WEIGHTS
FILES = (
    CONFIG, WEIGHTS, f"{WEIGHTS}.index.json", "tokenizer_config.json", "tokenizer.json", "chat_template.jinja", MANIFEST,
)  # fmt: skip
"""The files of an adapter's repository that are fetched. No pickles."""
MAX_ALPHA = 1e6
AGAIN = "Save the adapter again."
PLAIN_INITS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Values of init_lora_weights that leave the weights of the base as they are."""
UNSUPPORTED = {
    "trainable_token_indices": "it trains the embeddings of single tokens",
    "layer_replication": "it repeats layers of the base",
    "target_parameters": "it adapts parameters that are no linear modules",
    "alora_invocation_tokens": "it acts only after certain tokens",
    "megatron_config": "it was trained on a model of Megatron",
    "use_qalora": "it was trained with QALoRA",
    "use_bdlora": "its matrices are block-diagonal",
    "arrow_config": "it routes between adapters",
    "kasa_config": "it was trained with KaSA, which changes the base",
    "monteclora_config": "it samples its weights",
    "velora_config": "it was trained with VeLoRA",
}
"""Keys of adapter_config.json that make an adapter more than LoRA on modules, and what they mean."""
MERGE = "Merge it into its base where it was trained, and compare the result as a model of its own."


def find(adapter: str, ask: bool = True, hashes: Path | None = None) -> dict[str, Any]:
    """What identifies an adapter: {repo, revision} of the hub, or {folder, digest} of its files.

    Args:
        adapter: a folder, or `owner/name[@revision]`.
        ask, hashes: see base_model.Model.spec.

    Raises:
        ModelError: it is neither, or holds no adapter that can be compared; with `ask` also what hub.commit_of raises.
    """
    path = Path(adapter).expanduser()
    if os.path.isdir(path):
        folder = with_adapter(path)
        check_config(read_config(folder), folder)
        return {"repo": None, "revision": None, "folder": str(folder), "digest": base_model.folder_digest(folder, hashes)}
    repo, _, revision = adapter.partition("@")
    if adapter.startswith((".", "/", "~")) or repo.count("/") != 1:
        raise ModelError(
            f"variants: there is no adapter '{adapter}'", "Name the folder with adapter_config.json, or a hub id as owner/name."
        )
    commit = hub.commit_of(repo, revision or None) if ask else hub.known_commit("models", repo, revision or None) or revision or None
    return {"repo": repo, "revision": commit, "folder": None}


def check_different(variant: str, specs: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ModelError for two adapters of a variant that are one: the same commit of the hub, or files with the same weights.

    Args:
        variant: its name, for the message.
        specs: by place in the recipe, from find(). Equal weights at places of which one is on the hub show in `compare`.
    """
    first: dict[str, str] = {}
    for place, spec in specs.items():
        weights = f"{spec['repo']}@{spec['revision']}" if spec["folder"] is None else file_hash(Path(spec["folder"]) / WEIGHTS)
        if (other := first.setdefault(weights, place)) != place:
            problem = f"variants: {variant} counts {other} and {place} as two training runs, and their weights are equal"
            raise ModelError(problem, "Leave one out.")


def local_folder(spec: Mapping[str, Any]) -> Path:
    """The folder with an adapter's files; fetched from the hub if it is not here yet.

    Args:
        spec: from find().

    Raises:
        ModelError: it is not on the hub, or is none that can be compared.
    """
    root = Path(spec["folder"]) if spec["folder"] else hub.fetch_model(spec["repo"], spec["revision"], FILES)
    folder = with_adapter(root)
    check_config(read_config(folder), folder)
    return folder


def with_adapter(root: Path) -> Path:
    """The folder with the files of the adapter: the one that is named, or `default` in it, where peft saves adapters by name.

    Raises:
        ModelError: there is none, there are several, or its weights are no safetensors.
    """
    inside = sorted(path.parent for path in root.glob(f"*/{CONFIG}"))
    folders = [root] if (root / CONFIG).exists() else [root / "default"] if root / "default" in inside else inside
    if not folders:
        raise no_adapter(root)
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders[-3:])
        raise ModelError(f"{root} holds {len(folders)} adapters: {names}", f"Name one of them, as {folders[-1]}.")
    if not (folders[0] / WEIGHTS).is_file():
        raise no_weights(folders[0])
    return folders[0]


def no_adapter(root: Path) -> ModelError:
    if list(root.glob("*.safetensors")) and (root / "config.json").exists():
        return ModelError(
            f"{root} holds a whole model, not an adapter", "Write model: in place of adapter:, or name its adapter, before it was merged."
        )
    if list(root.glob("adapter_model.*")):
        return ModelError(f"{root} has the weights of an adapter, but no {CONFIG}", "Save it again with save_pretrained of peft.")
    return ModelError(f"{root} holds no adapter: {CONFIG} is missing", "Name the folder that save_pretrained of peft wrote.")


def no_weights(folder: Path) -> ModelError:
    if list(folder.glob("adapter_model*-of-*")) or (folder / f"{WEIGHTS}.index.json").exists():
        return ModelError(f"{folder} has its weights in several pieces", f"Load it with peft and call save_pretrained, for one {WEIGHTS}.")
    if pickles := sorted(path.name for path in folder.glob("adapter_model.*") if path.suffix in (".bin", ".pt", ".pth")):
        return ModelError(
            f"{folder} has no {WEIGHTS} but {pickles[0]}, a pickle that can run code when it is read",
            "Convert it: load it with peft where you trust it and call save_pretrained.",
        )
    return ModelError(f"{folder} has {CONFIG}, but no weights ({WEIGHTS})", "Copy the whole folder, or save it again with save_pretrained.")


def read_config(folder: Path) -> dict[str, Any]:
    """The adapter_config.json of an adapter.

    Raises:
        ModelError: it is no JSON object.
    """
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder / CONFIG} cannot be read: {str(error)[:200]}", AGAIN) from None
    if not isinstance(config, dict):
        raise ModelError(f"{folder / CONFIG} holds no keys and values", AGAIN)
    return config


def check_config(config: Mapping[str, Any], folder: Path) -> None:
    """Raise ModelError for what is not LoRA on modules of a frozen base that generates text."""
    kind, task = config.get("peft_type"), config.get("task_type")
    if kind != "LORA":
        raise ModelError(
            f"{folder} is of the kind {kind or 'unknown'} (peft_type in {CONFIG})",
            "LoRA is compared, with DoRA and rsLoRA among it. " + MERGE,
        )
    if task not in (None, "CAUSAL_LM"):
        raise ModelError(
            f"{folder} was trained for {task}, not to generate text (task_type in {CONFIG})", "Name one of task_type CAUSAL_LM."
        )
    init = config.get("init_lora_weights")
    if not isinstance(init, str | bool | None) or init not in PLAIN_INITS:
        raise ModelError(
            f"{folder} begins with {init} (init_lora_weights), which changes the base: it fits only weights that are not here",
            "Save it with path_initial_model_for_weight_conversion of peft, which makes it a plain LoRA.",
        )
    if (bias := config.get("bias") or "none") != "none":
        raise ModelError(f"{folder} also changes biases of the base (bias: {bias})", MERGE)
    for key, meaning in UNSUPPORTED.items():
        if config.get(key):
            raise ModelError(f"{folder}: {meaning} ({key} in {CONFIG})", MERGE)
    check_sizes(config, folder)


def check_sizes(config: Mapping[str, Any], folder: Path) -> None:
    """Raise ModelError for a rank or scale that no training has, or patterns of names that are none."""
    patterns = {key: config.get(key) or {} for key in ("rank_pattern", "alpha_pattern")}
    for key, value in patterns.items():
        if not isinstance(value, dict):
            raise ModelError(f"{folder / CONFIG}: {key} is no mapping of names ({abbreviated(value)})", AGAIN)
    ranks = {"r": config.get("r", 8)} | {f"rank_pattern {name}": value for name, value in patterns["rank_pattern"].items()}
    alphas = {"lora_alpha": config.get("lora_alpha", 8)} | {f"alpha_pattern {name}": one for name, one in patterns["alpha_pattern"].items()}
    for key, value in ranks.items():
        if type(value) is not int or value < 1:
            raise ModelError(f"{folder / CONFIG}: {key} is no rank ({abbreviated(value)})", AGAIN)
    for key, value in alphas.items():
        if not (is_number(value) and 0 < abs(value) <= MAX_ALPHA):
            raise ModelError(f"{folder / CONFIG}: {key} is no scale by which an adapter has an effect ({abbreviated(value)})", AGAIN)
    names = [*patterns["rank_pattern"], *patterns["alpha_pattern"]]
    for key in ("target_modules", "exclude_modules", "layers_pattern"):
        names += [config[key]] if isinstance(config.get(key), str) else []
    for name in names:
        try:
            re.compile(name)
        except re.error as error:
            raise ModelError(f"{folder / CONFIG}: {abbreviated(name)} is no pattern of module names: {error}", AGAIN) from None


def abbreviated(value: Any) -> str:
    return json.dumps(value, default=str)[:60]
