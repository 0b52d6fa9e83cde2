"""Explains why a base model or a data set cannot be fetched: one request to the hub at most, and nothing is loaded."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.data import manual_files, source
from pipeline.data.task import Source
from pipeline.errors import DataError, ModelError, UserError
from pipeline.models import base_model, hub

FILES = {"models": "config.json", "datasets": ".gitattributes"}
"""A file of every repository of a kind: asking for it needs the same rights as fetching the repository."""
INDEX = "model.safetensors.index.json"


class Hub:
    """The hub as one run sees it; whether it answers is asked once, and only if something has to be fetched."""

    def __init__(self, offline: bool) -> None:
        from huggingface_hub import constants

        self.endpoint = constants.ENDPOINT
        self.is_offline = offline or constants.HF_HUB_OFFLINE
        self.reason: str | None = None

    def silence(self) -> str:
        """Why nothing can be fetched; empty if the hub answers."""
        if self.reason is None:
            self.reason = hub.offline_reason(self.is_offline)
        return self.reason

    def obstacle(self, kind: str, repo: str, revision: str | None) -> UserError | None:
        """What keeps a repository from being fetched: no hub, no such repository or revision, no access.

        Args:
            kind: `models` or `datasets`.
        """
        from huggingface_hub import errors, get_hf_file_metadata

        folder = "" if kind == "models" else f"{kind}/"
        name = "model" if kind == "models" else "data set"
        silence = self.silence()
        try:
            if silence:
                raise ConnectionError(silence)
            get_hf_file_metadata(self.address(f"{folder}{repo}", revision, FILES[kind]))
        except (ConnectionError, errors.GatedRepoError, errors.RevisionNotFoundError, errors.RepositoryNotFoundError) as error:
            return hub.fault(repo, revision, error, silence, name)
        except Exception as error:
            del error  # the file alone is missing, or the server is out of order for a moment: the stage asks again
        return None

    def address(self, repo: str, revision: str | None, file: str) -> str:
        return f"{self.endpoint}/{repo}/resolve/{quote(revision or 'main', safe='')}/{file}"

    def config(self, repo: str, revision: str | None) -> dict[str, Any]:
        """The config.json of a model that is not here yet, read without fetching the rest; empty where that fails."""
        from huggingface_hub import get_session
        from huggingface_hub.utils._headers import build_hf_headers

        try:
            response = get_session().get(
                self.address(repo, revision, FILES["models"]), headers=build_hf_headers(), timeout=10.0, follow_redirects=True
            )
            config = response.json() if response.status_code == 200 else {}
        except Exception:
            return {}  # the stage that fetches the model looks again
        return config if isinstance(config, dict) else {}


def base_obstacle(spec: dict[str, Any], remote: Hub) -> UserError | None:
    """What keeps the weights of a base from being loaded; spec as in the params of a job."""
    if spec["folder"]:
        return None  # its bytes were hashed for the plan
    repo, revision = spec["repo"], spec["revision"]
    folder = base_model.snapshot(repo, revision)
    here = has_weights(folder)
    if not here and (obstacle := remote.obstacle("models", repo, revision)):
        return obstacle
    try:
        config = base_model.read_config(folder) if here and folder else remote.config(repo, revision)
        base_model.check_config(f"the model {repo}", config, base_model.may_run_code(spec))
    except ModelError as error:
        return error
    return None


def has_weights(folder: Path | None) -> bool:
    """Whether all weights of a model are in its folder of the cache, which a fetch that was stopped leaves without some."""
    if folder is None:
        return False
    index = folder / INDEX
    if not index.exists():
        return any(folder.glob("*.safetensors"))
    return all((folder / name).exists() for name in set(json.loads(index.read_text("utf-8"))["weight_map"].values()))


def data_obstacles(sources: tuple[Source, ...], remote: Hub) -> list[str]:
    """What keeps each source of a split from being read, each with its remedy; empty if one of them is within reach."""
    obstacles = [list(source_obstacles(one, remote)) for one in sources]
    return [line for lines in obstacles for line in lines] if all(obstacles) else []


def source_obstacles(one: Source, remote: Hub) -> Iterator[str]:
    """The obstacles of one source, as far as they show without reading it: a file is there or not, a repository can be fetched or not."""
    for part in one.parts:
        yield from source_obstacles(part, remote)
    if one.manual_file:
        if manual_files.existing_path(one.manual_file) is None and (remote.is_offline or not one.manual_file.url):
            yield f"there is no {manual_files.display_path(one.manual_file)}. {manual_files.instructions(one.manual_file)}"
    elif one.hub:
        error = None if is_cached(one) else remote.obstacle("datasets", one.hub, one.revision)
        if error:
            yield f"{error.problem} {error.remedy}"
    elif one.path or one.folder:
        try:
            source.local_files(one)
        except DataError as error:
            yield f"{error.problem} {error.remedy}"


def is_cached(one: Source) -> bool:
    """Whether the cache holds something of a data set; whether that is enough, preparing it says."""
    from huggingface_hub import constants

    repo = str(one.hub)
    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets")
    owner, _, name = repo.partition("/")
    is_prepared = any(prepared.glob(f"{owner}___*")) if name else (prepared / repo).is_dir()
    return is_prepared or hub.cache_path("datasets", repo, "snapshots").is_dir()
