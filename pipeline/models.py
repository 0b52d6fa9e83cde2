"""The table of base models, and how one is found: by its row, as a hub id, or as a folder."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.artifact import digest, file_hash
from pipeline.errors import ModelError, suggest
from pipeline.machine import ROOT
from pipeline.recipe import Recipe

WEIGHTS = ("*.safetensors", "*.json", "*.model", "*.jinja", "*.txt", "*.py")
"""The files of a model repository that are fetched and hashed. No pickles."""


@dataclass(frozen=True)
class Model:
    """A base model: where its weights are and how it is prompted."""

    name: str
    repo: str | None = None
    folder: str | None = None
    revision: str | None = None
    chat: bool | None = None
    """None: through the chat template if the tokenizer has one."""
    license: str = ""
    gated: bool = False
    trust_remote_code: bool = False

    def spec(self) -> dict[str, Any]:
        """What a stage must know to load exactly these weights; part of keys.

        Raises:
            ModelError: the folder holds no model that can be loaded safely.
        """
        spec = {
            "repo": self.repo,
            "revision": self.revision,
            "folder": self.folder,
            "chat": self.chat,
            "trust_remote_code": self.trust_remote_code,
        }
        if self.repo:
            from pipeline import hub

            return spec | {"revision": hub.commit_of(self.repo, self.revision)}
        return spec | ({"digest": folder_digest(check_folder(placed(self.folder), self.trust_remote_code))} if self.folder else {})


MODELS = (
    Model("quickstart-base", folder="checkpoints/quickstart-base", chat=False, license="apache-2.0"),
    Model("smollm2-135m", "HuggingFaceTB/SmolLM2-135M", chat=False, license="apache-2.0"),
    Model("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B", chat=False, license="apache-2.0"),
    Model("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B", chat=False, license="apache-2.0"),
    Model("mistral-7b", "mistralai/Mistral-7B-v0.1", chat=False, license="apache-2.0"),
    Model("llama-3.1-8b", "meta-llama/Llama-3.1-8B", chat=False, license="llama3.1", gated=True),
)


def find(recipe: Recipe) -> Model:
    """The base that a recipe names.

    Raises:
        ModelError: it is neither a row, nor a folder, nor the form of a hub id.
    """
    name = recipe.base
    rows = {row.name: row for row in MODELS}
    if name in rows:
        row = rows[name]
        found = row
    elif Path(name).is_dir():
        found = Model(name, folder=name)
    elif name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"base: there is no model or folder '{name}'.", suggest(name, rows))
    else:
        found = Model(name, repo=name)
    chat = found.chat if recipe.chat is None else recipe.chat
    return Model(
        found.name, found.repo, found.folder, recipe.revision or found.revision, chat, found.license, found.gated, recipe.trust_remote_code
    )


def short(base: str) -> str:
    """A base's name as part of a folder name."""
    return Path(base).name


def local_folder(spec: dict[str, Any]) -> Path:
    """The folder with a base's files; fetched from the hub if it is not here yet.

    Raises:
        ModelError, MachineError: it is not on the hub, gated, or the hub cannot be reached.
    """
    if spec["folder"]:
        return placed(spec["folder"])
    from pipeline import hub

    return check_folder(hub.fetch_model(spec["repo"], spec["revision"], WEIGHTS), spec["trust_remote_code"])


def placed(folder: str) -> Path:
    """Where a folder of the table or of a recipe lies. Keys hold it as it is written, so they are the same in every clone."""
    shipped = any(row.folder == folder for row in MODELS)
    return ROOT / folder if shipped else Path(folder)


def check_folder(folder: Path, trust_remote_code: bool) -> Path:
    """The folder, if it holds a model that can be loaded without running somebody's code."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is no model: it has no config.json", "A base is a folder as `save_pretrained` writes it, or a hub id.")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {error}", "Fetch the model again.") from None
    if not list(folder.glob("*.safetensors")):
        pickles = [path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt")]
        said = f" but only {', '.join(sorted(pickles))}, a pickle that can run code when it is read" if pickles else ""
        raise ModelError(f"{folder} has no .safetensors weights{said}", "Convert it: load it where you trust it and call save_pretrained.")
    if "auto_map" in config and not trust_remote_code:
        raise ModelError(
            f"{folder} comes with Python code of its own (auto_map in config.json)",
            "If you have read it, say trust_remote_code: true in the recipe.",
        )
    return folder


@cache
def folder_digest(folder: Path) -> str:
    """Digest of a model folder's bytes. Hashes of large files are remembered by size and time of change."""
    memory = ROOT / "data" / ".hashes.json"
    try:
        known: dict[str, str] = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    hashes, fresh = {}, {}
    for path in sorted({found for pattern in WEIGHTS for found in folder.glob(pattern)}):
        stat = path.stat()
        mark = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        hashes[path.name] = known.get(mark) or file_hash(path)
        if mark not in known and stat.st_size > 1 << 28:
            fresh[mark] = hashes[path.name]
    if fresh:
        memory.parent.mkdir(exist_ok=True)
        memory.write_text(json.dumps(known | fresh), "utf-8")
    return digest(hashes)
