"""Resolves a base model from its row in the table, a hub id or a folder, and describes it before any weight is loaded."""

import json
import os
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.config.recipe import Recipe
from pipeline.config.validation_errors import nearest
from pipeline.errors import ModelError
from pipeline.models import hub, shapes
from pipeline.models.model_table import ROWS, ModelRow
from pipeline.models.shapes import Shape
from pipeline.resources import shipped
from pipeline.store.artifact import file_hash, json_sha256

WEIGHTS = ("*.safetensors", "*.json", "*.model", "*.jinja", "*.txt", "*.py")
"""The files of a model repository that are fetched and hashed. No pickles."""
COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_local_experts", "num_experts", "n_routed_experts")
"""Keys of a config.json that say how often a module is repeated."""
MAX_MODULES = 1000
"""Repeats of one module that are built without a look at the files; no model has as many."""
MAX_HEADER_BYTES = 100_000_000
"""Of a safetensors file; the format's own limit."""
QV = ("q_proj", "v_proj")
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


@dataclass(frozen=True)
class Model(ModelRow):
    """A base model as a recipe means it."""

    revision: str | None = None
    trust_remote_code: bool = False

    def spec(self, ask: bool = True, hashes: Path | None = None) -> dict[str, Any]:
        """What identifies exactly these weights, for loading and for keys.

        Args:
            ask: ask the hub for the commit if this machine does not know it; if false, the revision is then the recipe's own or None.
            hashes: a cache file of the hashes of large files; without it they are read again.

        Raises:
            ModelError: the folder holds no model that can be loaded safely; with `ask` also what hub.commit_of raises.
        """
        spec = {
            "repo": self.repo,
            "revision": self.revision,
            "folder": self.folder,
            "chat": self.chat,
            "trust_remote_code": self.trust_remote_code,
        }
        if self.repo:
            commit = (
                hub.commit_of(self.repo, self.revision) if ask else hub.known_commit("models", self.repo, self.revision) or self.revision
            )
            return spec | {"revision": commit}
        if not self.folder:
            return spec
        return spec | {"digest": folder_digest(check_folder(resolve_folder(self.folder), self.trust_remote_code), hashes)}

    def access(self) -> str:
        """What a user must still do to fetch a gated base; empty if it is open, here already, or a token is set."""
        if not self.repo or not self.gated:
            return ""
        from huggingface_hub import constants  # not get_token, which loads an HTTP library

        has_token = any(os.environ.get(name, "").strip() for name in TOKENS) or Path(constants.HF_TOKEN_PATH).is_file()
        if has_token or snapshot(self.repo, self.revision):
            return ""
        return f"{self.name} is gated: accept its terms at https://huggingface.co/{self.repo}, then set HF_TOKEN"


MODELS = tuple(Model(**vars(row)) for row in ROWS)


def find(recipe: Recipe) -> Model:
    """The base that a recipe names.

    A hub id that a row has too is prompted as its tokenizer says, not as the row does.

    Raises:
        ModelError: it is neither a row, nor a folder, nor the form of a hub id.
    """
    name = recipe.base
    rows = {row.name: row for row in MODELS}
    if recipe.base_predictions is not None:
        return Model(name)  # whatever answered, it is not here, and nothing is known of it but its name
    if name in rows:
        model = rows[name]
    elif os.path.isdir(name):
        model = Model(name, folder=name, shape=shapes.of_folder(Path(name)))
    elif name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"base: there is no model or folder '{name}'.", nearest(name, rows, "`loralift ls models`"))
    else:
        same_repo = next((row for row in MODELS if row.repo == name), Model(name, name))
        model = replace(same_repo, name=name, chat=None)
    chat = model.chat if recipe.chat is None else recipe.chat
    return replace(model, revision=recipe.revision, chat=chat, trust_remote_code=recipe.trust_remote_code)


def qv_targets(model: Model) -> tuple[str, ...]:
    """The linear modules that make queries and values: one for both where they are fused, as in the Phi-3 family.

    A base on the hub that is no row of the table counts as one that has both; training says which modules there are, if it has not.
    """
    return model.shape.qv if model.shape else QV


def paper_setup(model: Model, base: str) -> dict[str, Any]:
    """How the base relates to the paper: {model: its name in LoRA Land or empty, forced_chat: whether the recipe prompts it otherwise}.

    Args:
        base: as the recipe names it.
    """
    row = next((row for row in MODELS if base in (row.name, row.repo)), None) if model.repo or model.folder else None
    # a hub id is prompted as its tokenizer says, which may not be as in the paper
    return {"model": model.paper, "forced_chat": row is not None and model.chat != row.chat}


def shape_of(spec: dict[str, Any]) -> Shape | None:
    """The shape of the base that a stage is asked to load, from its row or a config.json on this machine; None if neither is there."""
    if spec["folder"]:
        return shapes.of_folder(resolve_folder(spec["folder"]))
    row = next((row for row in MODELS if row.repo == spec["repo"]), None)
    if row:
        return row.shape
    folder = snapshot(spec["repo"], spec["revision"])
    return shapes.of_folder(folder) if folder else None


def matrices(spec: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Module name to (in, out) of every matrix in the files of a base, read from their headers alone; empty if they are not here."""
    folder = resolve_folder(spec["folder"]) if spec["folder"] else snapshot(spec["repo"], spec["revision"])
    tensors = tensor_shapes(folder) if folder else {}
    weights = {name.removesuffix(".weight"): shape for name, shape in tensors.items() if name.endswith(".weight")}
    return {name: (shape[1], shape[0]) for name, shape in weights.items() if len(shape) == 2}


def tensor_shapes(folder: Path) -> dict[str, list[int]]:
    """Name to shape of the tensors in the files of a base, read from their headers alone; without those of damaged files."""
    sizes: dict[str, list[int]] = {}
    for path in folder.glob("*.safetensors"):
        try:
            with path.open("rb") as file:
                header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), MAX_HEADER_BYTES)))
            sizes |= {name: list(entry["shape"]) for name, entry in header.items() if "shape" in entry}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue  # loading says what is wrong with it
    return sizes


def refuse_countless_modules(folder: Path, config: dict[str, Any]) -> None:
    """Raise ModelError for more layers or experts than there are tensors: building them, empty, would take hours before loading refuses."""
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    counts = {key: part[key] for part in parts for key in COUNTS if isinstance(part.get(key), int) and part[key] > MAX_MODULES}
    tensors = len(tensor_shapes(folder)) if counts else 0
    for key, count in counts.items():
        if count > tensors:
            raise ModelError(
                f"{folder / 'config.json'}: {key} is {count:,}, and the weights beside it hold {tensors} tensors", "Fetch the model again."
            )


def context_window(spec: dict[str, Any]) -> int | None:
    """Tokens that a base supports, by its config.json; None if that is not on this machine or does not say."""
    folder = resolve_folder(spec["folder"]) if spec["folder"] else snapshot(spec["repo"], spec["revision"])
    if folder is None:
        return None
    config = text_part(read_config(folder))
    tokens = config.get("max_position_embeddings", config.get("n_positions"))
    return tokens if isinstance(tokens, int) else None


def vocabulary_size(folder: Path) -> int | None:
    """Rows of the embedding of the base in a folder; None where its config.json does not say."""
    rows = text_part(read_config(folder)).get("vocab_size")
    return rows if isinstance(rows, int) else None


def snapshot(repo: str, revision: str | None) -> Path | None:
    """The folder of a model repository in the cache; None if it is not here."""
    commit = hub.known_commit("models", repo, revision)
    folder = hub.cache_path("models", repo, f"snapshots/{commit}")
    return folder if commit and (folder / "config.json").exists() else None


def folder_prefix(base: str) -> str:
    """A base's name as part of a folder name, which must do on every file system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(base).name).strip("-. ")[:64] or "base"


def local_folder(spec: dict[str, Any]) -> Path:
    """The folder with a base's files; fetched from the hub if it is not here yet.

    Raises:
        ModelError, MachineError: it is not on the hub, gated, or the hub cannot be reached.
    """
    if spec["folder"]:
        return resolve_folder(spec["folder"])
    return check_folder(hub.fetch_model(spec["repo"], spec["revision"], WEIGHTS), may_run_code(spec))


def may_run_code(spec: dict[str, Any]) -> bool:
    """Whether code beside the weights is no hindrance; transformers has a class for each row of the table, so theirs never runs."""
    return spec["trust_remote_code"] or any(row.repo == spec["repo"] for row in MODELS)


def resolve_folder(folder: str) -> Path:
    """The path of a folder of the table or of a recipe. Keys hold it as written, so they are the same in every clone."""
    ships = any(row.folder == folder for row in MODELS)
    return shipped(folder) if ships else Path(folder)


def check_folder(folder: Path, trust_remote_code: bool) -> Path:
    """The folder, if it holds a model that can be loaded without running somebody's code."""
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} is not a model: it has no config.json",
            "A base or a fine-tuned model is a folder as `save_pretrained` writes it, or a hub id.",
        )
    check_config(str(folder), read_config(folder), trust_remote_code)
    if (folder / "adapter_config.json").exists():
        raise ModelError(
            f"{folder} holds an adapter (adapter_config.json), which would be loaded over the weights without a word",
            "Name the base alone, or merge the adapter and save the result as a model of its own.",
        )
    if not list(folder.glob("*.safetensors")):
        pickles = [path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt")]
        pickles_note = f" but only {', '.join(sorted(pickles))}, a pickle that can run code when it is read" if pickles else ""
        raise ModelError(
            f"{folder} has no .safetensors weights{pickles_note}", "Convert it: load it where you trust it and call save_pretrained."
        )
    refuse_countless_modules(folder, read_config(folder))
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of a model's folder.

    Raises:
        ModelError: it is no JSON object.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {str(error)[:200]}", "Fetch the model again.") from None
    if not isinstance(config, dict):
        raise ModelError(f"{folder / 'config.json'} holds no keys and values", "Fetch the model again.")
    return config


def check_config(base: str, config: dict[str, Any], trust_remote_code: bool) -> None:
    """Raise ModelError for a base that runs somebody's code, or one in 4 or 8 bit already: no arm could have its own precision."""
    if "auto_map" in config and not trust_remote_code:
        raise ModelError(
            f"{base} comes with Python code of its own (auto_map in config.json)",
            "If you have read it, say trust_remote_code: true in the recipe.",
        )
    quantized = config.get("quantization_config") or text_part(config).get("quantization_config")
    if quantized:
        method = quantized.get("quant_method") if isinstance(quantized, dict) else None
        raise ModelError(
            f"{base} is quantized already ({method or 'quantization_config in config.json'}), and would stay so whatever the recipe says",
            "Name the model that it was made from, in bf16 or fp32; loralift quantizes it to NF4 itself.",
        )


def text_part(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a config.json that describes the decoder: of a multimodal base its own, else the whole."""
    part = config.get("text_config")
    return part if isinstance(part, dict) else config


@cache
def folder_digest(folder: Path, hash_cache: Path | None = None) -> str:
    """Digest of a model folder's bytes.

    Args:
        hash_cache: a JSON file with hashes of large files by path, size and modification time; it need not exist or be writable.
    """
    cached = read_hash_cache(hash_cache)
    hashes, fresh = {}, {}
    for path in sorted({path for pattern in WEIGHTS for path in folder.glob(pattern)}):
        stat = path.stat()
        identity = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        hashes[path.name] = cached.get(identity) or file_hash(path)
        if identity not in cached and stat.st_size > 1 << 28:
            fresh[identity] = hashes[path.name]
    if hash_cache and fresh:
        add_to_hash_cache(hash_cache, fresh)
    return json_sha256(hashes)


def read_hash_cache(path: Path | None) -> dict[str, str]:
    """Hashes by path, size and modification time; none where the file is missing or damaged."""
    try:
        hashes: dict[str, str] = json.loads(path.read_text("utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    return hashes


def add_to_hash_cache(path: Path, fresh: dict[str, str]) -> None:
    """Add hashes to the file, which other processes may write too; if it is not writable they are computed again the next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            partial = path.with_name(f"{path.name}.{os.getpid()}")
            partial.write_text(json.dumps(read_hash_cache(path) | fresh), "utf-8")
            os.replace(partial, path)
    except OSError:
        return
