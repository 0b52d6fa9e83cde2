"""Finds fine-tuned models, in a folder or on the hub, and refuses by their files what is no whole model in safetensors."""

import os
from pathlib import Path
from typing import Any

from pipeline.config.recipe import Recipe
from pipeline.errors import ModelError
from pipeline.models import base_model
from pipeline.models.adapter_source import CONFIG


def find(model: str, recipe: Recipe, ask: bool = True, hashes: Path | None = None) -> dict[str, Any]:
    """What identifies a fine-tuned model, as base_model.Model.spec() has it of a base.

    Args:
        model: a folder, or `owner/name[@revision]`.
        ask, hashes: see base_model.Model.spec.

    Raises:
        ModelError: it is neither, is the base itself, or cannot be loaded safely; with `ask` also what hub.commit_of raises.
    """
    base = base_model.find(recipe)
    trust = recipe.trust_remote_code
    path = Path(model).expanduser()
    repo, _, revision = model.partition("@")
    if os.path.isdir(path):
        refuse_adapter(path)
        tuned = base_model.Model(path.name, folder=str(path), trust_remote_code=trust)
    elif model.startswith((".", "/", "~")) or repo.count("/") != 1:
        raise ModelError(f"variants: there is no model '{model}'", "Name the folder that save_pretrained wrote, or a hub id as owner/name.")
    else:
        tuned = base_model.Model(repo, repo, revision=revision or None, trust_remote_code=trust)
    spec, of_base = tuned.spec(ask, hashes), base.spec(ask, hashes)
    keys = ("digest",) if spec.get("digest") else ("repo", "revision")
    if all(spec.get(key) == of_base.get(key) for key in keys):
        raise ModelError(f"variants: {model} is the base itself", "Name the model that was fine-tuned from it.")
    return spec


def refuse_adapter(folder: Path) -> None:
    """Raise ModelError for the folder of an adapter, which has a key of its own."""
    if (folder / CONFIG).exists() and not list(folder.glob("model*.safetensors")):
        raise ModelError(f"{folder} holds an adapter, not a whole model ({CONFIG})", "Write adapter: in place of model:.")
