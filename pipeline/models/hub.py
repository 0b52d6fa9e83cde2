"""Downloads base models from the Hugging Face hub once, finds them in the cache later, and explains a failure in one line."""

from pathlib import Path
from typing import Any

from pipeline.errors import DataError, ModelError

REACH_SECONDS = 3.0
OFFLINE = "HF_HUB_OFFLINE is set"
"""The reason in offline mode."""


def unreachable() -> str:
    """Why the hub does not answer; empty if it does. One short request: the libraries would try for 23 s and more."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=REACH_SECONDS, follow_redirects=False)
    except Exception as error:
        return f"{constants.ENDPOINT} does not answer ({' '.join(str(error).split())[:80] or type(error).__name__})"
    return ""


def offline_reason(offline: bool = False) -> str:
    """Why no request to the hub is made; empty if it answers.

    Args:
        offline: whether requests are forbidden, which HF_HUB_OFFLINE does too.
    """
    from huggingface_hub import constants

    return OFFLINE if offline or constants.HF_HUB_OFFLINE else unreachable()


def cache_path(kind: str, repo: str, name: str) -> Path:
    """A file or folder of a repository in the cache, whether it is there or not; kind: `models` or `datasets`."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"{kind}--{repo.replace('/', '--')}" / name


def known_commit(kind: str, repo: str, revision: str | None) -> str:
    """The commit of a revision, if it is one or the cache knows it; else empty."""
    name = revision or "main"
    if len(name) == 40 and set(name) <= set("0123456789abcdef"):
        return name
    ref = cache_path(kind, repo, f"refs/{name}")
    return ref.read_text("utf-8").strip() if ref.is_file() else ""


def commit_of(repo: str, revision: str | None) -> str:
    """The commit that a tag or branch of a model repository means: in the cache if it is there, else today's.

    Keys hold it, so base and tuned answers always come from the same weights.

    Raises:
        ModelError: as fetch_model.
    """
    from huggingface_hub import HfApi

    name = revision or "main"
    if commit := known_commit("models", repo, revision):
        return commit
    offline_why = offline_reason()
    try:
        if offline_why:
            raise ConnectionError(offline_why)
        commit = str(HfApi().model_info(repo, revision=name).sha)
    except Exception as error:
        raise fault(repo, revision, error, offline_why) from None
    ref = cache_path("models", repo, f"refs/{name}")
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit, "utf-8")  # as the library does for a branch
    return commit


def fetch_model(repo: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """The folder of a model repository in the cache, at a commit.

    Raises:
        ModelError: at once, if the hub cannot be reached and the cache has nothing; or it is missing, private or gated.
    """
    from huggingface_hub import constants, snapshot_download

    request: dict[str, Any] = {
        "repo_id": repo,
        "revision": revision,
        "allow_patterns": list(patterns),
        "ignore_patterns": ["original/*", "consolidated*"],
    }
    why = OFFLINE if constants.HF_HUB_OFFLINE else ""
    try:
        return Path(snapshot_download(**request, local_files_only=True)) if why else fetch_unless_cached(request)
    except Exception as error:
        raise fault(repo, revision, error, why) from None


def fetch_unless_cached(request: dict[str, Any]) -> Path:
    """The folder of a repository: from the cache if it is there and a commit is named, which never changes; else fetched.

    Args:
        request: keyword arguments of snapshot_download.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(**request, local_files_only=True))
        if list(folder.glob("*.safetensors")) and len(request["revision"] or "") == 40:
            return folder
    except Exception as error:
        del error  # not in the cache yet
    if why := unreachable():
        raise ConnectionError(why)
    return Path(snapshot_download(**request))


def cause_of(error: Exception, why: str) -> str:
    """Why a repository of the hub is not available: `unreachable`, `gated`, `revision`, `missing` or `unknown`.

    `datasets` turns the hub's errors into its own and keeps no type of them, only words.

    Args:
        why: the reason why no request was made; empty if one was.
    """
    from huggingface_hub import errors

    text = str(error)
    if why or isinstance(error, ConnectionError | errors.LocalEntryNotFoundError) or "LocalEntryNotFound" in text:
        return "unreachable"
    if isinstance(error, errors.GatedRepoError) or "gated dataset" in text:
        return "gated"
    if isinstance(error, errors.RevisionNotFoundError) or "Revision '" in text:
        return "revision"
    if isinstance(error, errors.RepositoryNotFoundError) or "doesn't exist on the Hub" in text:
        return "missing"
    return "unknown"


def fault(
    repo: str, revision: str | None, error: Exception, why: str, kind: str = "model", config: str | None = None
) -> ModelError | DataError:
    """What went wrong with a repository of the hub, in a line, and what to do.

    Args:
        why: as for cause_of.
        kind: `model` or `data set`.
        config: of a data set.
    """
    is_model = kind == "model"
    name = f"the {kind} {repo}{f' ({config})' if config else ''}"
    page = f"https://huggingface.co/{'' if is_model else 'datasets/'}{repo}"
    login = "set HF_TOKEN or run `hf auth login`"
    local = "name a local folder as base" if is_model else "name local files under data"
    reason = why or (str(error) if "does not answer" in str(error) else "the hub does not answer")
    table = {
        "unreachable": (f"{name} is not in the cache, and {reason}.", f"Run once with the network, or {local}."),
        "gated": (f"{name} is gated, and your access is not granted.", f"Accept its terms at {page}, then {login}."),
        "revision": (f"{name} has no revision '{revision}'.", f"Name a commit, a tag or a branch of {page}."),
        "missing": (f"there is no {kind} {repo} on the hub, or it is private.", f"Check {page}; for a private one, {login}."),
        "unknown": (f"{name} cannot be fetched: {' '.join(str(error).split())[:200]}", f"See {page}."),
    }
    problem, remedy = table[cause_of(error, why)]
    return ModelError(problem, remedy) if is_model else DataError(problem, remedy)
