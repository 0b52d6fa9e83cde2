"""Masks the whole paths of a machine in the manifests that a page embeds: a page goes to people who have no use for them."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from pipeline.config.data_paths import is_whole_path, short_names
from pipeline.store.artifact import CHECKSUM, MASKED, json_sha256
from pipeline.store.records import JsonObject


def masked(manifest: bytes) -> bytes:
    """The manifest with `/…/` and its last parts in place of every whole path of a base or a data file.

    A masked manifest names the sha256 of the whole one, and its checksum is its own. Its parameters do not give its key any more: only
    the whole manifest can, where its store is. One without whole paths, or one that is masked, stays as it is, to the byte.
    """
    body: JsonObject = json.loads(manifest)
    names = {path: f"/…/{name}" for path, name in short_names(sorted(set(whole_paths(body)))).items()}
    if not names or MASKED in body:
        return manifest
    body = replaced(body, names) | {MASKED: hashlib.sha256(manifest).hexdigest()}
    if body.pop(CHECKSUM, ""):
        body[CHECKSUM] = json_sha256(body)
    return json.dumps(body, indent=1, sort_keys=True, allow_nan=False).encode()


def whole_paths(body: JsonObject) -> Iterator[str]:
    """The whole paths that a manifest holds: of the base, of the files of its tasks, and of the source that was read."""
    params, facts = body["params"], body["facts"]
    other_tasks = params.get("general")
    tasks = [params.get("task"), *(other_tasks.values() if isinstance(other_tasks, dict) else ())]
    files = [path for name in ("files", "predictions") if isinstance(params.get(name), dict) for path in params[name]]
    places = [
        *(params.get(name) for name in ("model", "adapter", "tuned")),
        facts.get("source"),
        *(task.get("data") for task in tasks if isinstance(task, dict)),
    ]
    yield from (value for place in places if isinstance(place, dict) for value in place.values() if is_whole_path(value))
    yield from filter(is_whole_path, files)


def replaced(value: Any, names: dict[str, str]) -> Any:
    """The value with other texts in place of some, as values and as keys of dictionaries."""
    if isinstance(value, dict):
        return {names.get(key, key): replaced(entry, names) for key, entry in value.items()}
    if isinstance(value, list):
        return [replaced(entry, names) for entry in value]
    return names.get(value, value) if isinstance(value, str) else value
