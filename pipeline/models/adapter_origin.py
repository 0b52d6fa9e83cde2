"""Compares what the files of an adapter or a fine-tuned model say of its base and tokenizer to the base that it is compared with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.models import adapter_source, base_model

TOKENIZER, SETTINGS, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"


def warnings(folder: Path, spec: Mapping[str, Any]) -> list[str]:
    """What may mean that the adapter was trained with another base or another form of prompts, in sentences.

    Args:
        folder: of the adapter.
        spec: of the base, from base_model.Model.spec().

    Raises:
        ModelError: its tokenizer makes other ids than the base's.
    """
    base = base_model.local_folder(dict(spec))
    check_tokens(folder, base, "Put the base and the tokenizer of the adapter into one folder, and name that as base.")
    return [text for text in (another_base(folder, spec), another_template(folder, base, "the adapter")) if text]


def model_warnings(folder: Path, base: Path) -> list[str]:
    """What may mean that a whole model was fine-tuned with another form of prompts, in sentences.

    Args:
        folder, base: with the files of the fine-tuned model, and of the base.
    """
    if not (folder / TOKENIZER).is_file() and not (folder / SETTINGS).is_file():
        return ["The fine-tuned model comes without a tokenizer: prompts are those of the base's, which may not be those of its training."]
    text = another_template(folder, base, "the fine-tuned model")
    return [text] if text else []


def another_base(folder: Path, spec: Mapping[str, Any]) -> str:
    """That the adapter names a base of another name; a path of another machine counts by its last part."""
    named = str(adapter_source.read_config(folder).get("base_model_name_or_path") or "").rstrip("/")
    ours = str(spec["repo"] or spec["folder"]).rstrip("/")
    if not named or Path(named).name.lower() == Path(ours).name.lower():
        return ""
    base = Path(named).name if named.startswith(("/", ".", "~")) else named
    return f"The adapter was trained on {base} by its own word, and is compared on {Path(ours).name}; their shapes agree."


def another_template(folder: Path, base: Path, owner: str) -> str:
    """That the tokenizer beside an adapter or a model has another chat template than that of the base, by which prompts are made."""
    theirs, ours = template_of(folder), template_of(base)
    if not theirs or theirs == ours:
        return ""
    other = "another one" if ours else "none"
    return (
        f"The tokenizer beside {owner} has a chat template, and the base has {other}: prompts may differ from those of its training. "
        "To prompt as there, copy its tokenizer files into a folder with the base and name that folder as base."
    )


def template_of(folder: Path) -> str:
    """The chat template in a folder, without blanks around it; empty where there is none."""
    if (path := folder / TEMPLATE).is_file():
        return path.read_text("utf-8", "replace").strip()
    template = read_object(folder / SETTINGS).get("chat_template")
    if isinstance(template, list):  # named ones
        named = [entry.get("template") for entry in template if isinstance(entry, dict) and entry.get("name") == "default"]
        template = named[0] if named else ""
    return template.strip() if isinstance(template, str) else ""


def check_tokens(folder: Path, base: Path, otherwise: str) -> None:
    """Raise ModelError if the tokenizer beside an adapter or a model has tokens that the base's lacks, or other ids; padding aside.

    Args:
        otherwise: what to do about tokens that the base lacks.
    """
    theirs, ours = tokens_of(folder), tokens_of(base)
    if not theirs or not ours:
        return
    moved = sorted(token for token, number in theirs.items() if token in ours and ours[token] != number)
    if moved:
        raise ModelError(
            f"{folder} was trained with another tokenizer: {len(moved)} tokens have other ids than in the base's, the first {moved[0]!r}",
            "Name the base that it was trained on.",
        )
    pad = read_object(folder / SETTINGS).get("pad_token")
    padding = pad.get("content") if isinstance(pad, dict) else pad
    if added := sorted(theirs.keys() - ours.keys() - {padding}):
        raise ModelError(
            f"{folder} was trained with {len(added)} tokens that the base's tokenizer lacks, the first {added[0]!r}",
            otherwise,
        )


def tokens_of(folder: Path) -> dict[str, int]:
    """Token to id, by tokenizer.json; empty where there is none, or none that can be read."""
    whole = read_object(folder / TOKENIZER)
    model, added = whole.get("model"), whole.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    tokens = dict(vocabulary) if isinstance(vocabulary, dict) else {}
    if isinstance(vocabulary, list):  # of a unigram model: pairs of token and score
        tokens = {entry[0]: number for number, entry in enumerate(vocabulary) if isinstance(entry, list) and entry}
    entries = added if isinstance(added, list) else []
    return tokens | {entry["content"]: entry["id"] for entry in entries if isinstance(entry, dict) and {"content", "id"} <= entry.keys()}


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object; empty where it is missing or is none."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
