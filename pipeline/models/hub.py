"""Downloads base models from the Hugging Face hub once, finds them in the cache later, and explains a failure in one line."""

from pathlib import Path
from typing import Any

from pipeline.errors import DataError, ModelError

REACH_SECONDS = 3.0


def unreachable() -> str:
    """Why the hub does not answer; empty if it does. One short request: the libraries would try for 23 s and more."""
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=REACH_SECONDS, follow_redirects=False)
    except Exception as error:
        return f"{constants.ENDPOINT} does not answer ({' '.join(str(error).split())[:80] or type(error).__name__})"
    return ""


def cached(kind: str, repo: str, name: str) -> Path:
    """A file or folder of a repository in the cache, whether it is there or not; kind: `models` or `datasets`."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"{kind}--{repo.replace('/', '--')}" / name


def noted(kind: str, repo: str, revision: str | None) -> str:
    """The commit that a revision means as far as this machine knows; empty if it does not."""
    asked = revision or "main"
    if len(asked) == 40 and set(asked) <= set("0123456789abcdef"):
        return asked
    note = cached(kind, repo, f"refs/{asked}")
    return note.read_text("utf-8").strip() if note.is_file() else ""


def commit_of(repo: str, revision: str | None) -> str:
    """The commit that a tag or branch of a model repository means: in the cache if it is there, else today's.

    Keys hold it, so base and tuned answers always come from the same weights.

    Raises:
        ModelError: as fetch_model.
    """
    from huggingface_hub import HfApi, constants

    asked = revision or "main"
    if known := noted("models", repo, revision):
        return known
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else unreachable()
    try:
        if why:
            raise ConnectionError(why)
        commit = str(HfApi().model_info(repo, revision=asked).sha)
    except Exception as error:
        raise fault(repo, revision, error, why) from None
    note = cached("models", repo, f"refs/{asked}")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(commit, "utf-8")  # as the library notes it when it is asked for a branch
    return commit


def fetch_model(repo: str, revision: str | None, patterns: tuple[str, ...]) -> Path:
    """The folder of a model repository in the cache, at a commit.

    Raises:
        ModelError: at once, if the hub cannot be reached and the cache has nothing; or it is missing, private or gated.
    """
    from huggingface_hub import constants, snapshot_download

    asked: dict[str, Any] = {
        "repo_id": repo,
        "revision": revision,
        "allow_patterns": list(patterns),
        "ignore_patterns": ["original/*", "consolidated*"],
    }
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else ""
    try:
        return Path(snapshot_download(**asked, local_files_only=True)) if why else fetched(asked)
    except Exception as error:
        raise fault(repo, revision, error, why) from None


def fetched(asked: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(**asked, local_files_only=True))
        if list(found.glob("*.safetensors")) and len(asked["revision"] or "") == 40:
            return found  # a commit never changes, so there is nothing to ask for
    except Exception as error:
        del error  # not in the cache yet
    if why := unreachable():
        raise ConnectionError(why)
    return Path(snapshot_download(**asked))


def fault(repo: str, revision: str | None, error: Exception, why: str, kind: str = "model") -> ModelError | DataError:
    """What went wrong with a model or a data set, in a line that says what to do."""
    from huggingface_hub import errors

    made = ModelError if kind == "model" else DataError
    page = f"https://huggingface.co/{'' if kind == 'model' else 'datasets/'}{repo}"
    other = "name a local folder as base" if kind == "model" else "name local files under data"
    if isinstance(error, errors.GatedRepoError):
        return made(
            f"the {kind} {repo} is gated, and your access is not granted.",
            f"Accept its terms at {page}, then set HF_TOKEN or run `hf auth login`.",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return made(f"the {kind} {repo} has no revision '{revision}'.", f"Name a commit, a tag or a branch of {page}.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return made(f"there is no {kind} {repo} on the hub, or it is private.", f"Check {page}; for a private one, set HF_TOKEN.")
    if why or isinstance(error, ConnectionError | errors.LocalEntryNotFoundError):
        return made(f"the {kind} {repo} is not in the cache, and {why or error}.", f"Run once with the network, or {other}.")
    return made(f"the {kind} {repo} cannot be fetched: {' '.join(str(error).split())[:200]}", f"See {page}.")
