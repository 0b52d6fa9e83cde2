"""Sends an export to the Hugging Face hub as one commit: its files, its result in the hub's form, and a report page if one is named"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ArtifactError, MachineError, ModelError
from pipeline.export.destination import CHECKSUMS
from pipeline.export.exporting import RECORD
from pipeline.models import hub
from pipeline.store.artifact import CARD, file_hash
from pipeline.store.records import JsonObject
from pipeline.store.result_folders import ReportFolder

RESULTS = ".eval_results/loralift.yaml"
"""Where the hub looks for results, beside those of other tools."""
PAGE = ReportFolder.PAGE
EDITABLE = (CARD,)
"""Files that their owner may change before they are sent."""


@dataclass(frozen=True)
class Push:
    """What is sent, and where to."""

    repo: str
    private: bool
    files: dict[str, Path | bytes]
    """By path in the repository."""
    measured: JsonObject
    """Of the export, as export.json has it."""

    def sizes(self) -> dict[str, int]:
        """Bytes by path in the repository."""
        return {name: len(file) if isinstance(file, bytes) else file.stat().st_size for name, file in self.files.items()}


def collect(folder: Path, repo: str, private: bool, page: Path | None) -> Push:
    """Everything that is sent; nothing is, yet.

    Raises:
        ArtifactError: the folder is no export, a file of it changed since it was measured, or there is no such page.
    """
    if not (folder / RECORD).is_file():
        raise ArtifactError(
            f"{folder}: it is no export, since it has no {RECORD}", "Make one: loralift export RECIPE --form adapter --out FOLDER"
        )
    files: dict[str, Path | bytes] = {}
    for line in (folder / CHECKSUMS).read_text("utf-8").splitlines():
        digest, _, name = line.partition("  ")
        path = folder / name
        if Path(name).name != name or not path.is_file() or (name not in EDITABLE and file_hash(path) != digest):
            raise ArtifactError(f"{path}: it is not the file that was measured", "Export it again.")
        files[name] = path
    files[CHECKSUMS] = "".join(f"{file_hash(folder / name)}  {name}\n" for name in files).encode("utf-8")
    if page is not None:
        if not page.is_file():
            raise ArtifactError(f"--page {page}: there is no such file", "Name the report.html that loralift report prints.")
        files[PAGE] = page
    record: JsonObject = json.loads((folder / RECORD).read_text("utf-8"))
    if result := hub_result(record):
        files[RESULTS] = result.encode("utf-8")
    return Push(repo, private, files, record["measured"])


def hub_result(record: JsonObject) -> str:
    """The result as the hub's model pages and leaderboards read it; empty for a test set that is none of the hub's, or was cut."""
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    measured, data_set = record["measured"], record.get("test_set", {})
    if measured["examples"] < measured["test_examples"] or "/" not in data_set.get("type", ""):
        return ""
    notes = f"{measured['metric']} of the exported {record['form']}, {measured['examples']} test examples, by loralift"
    entry = EvalResultEntry(
        data_set["type"], record["task"], round(measured["exported"], 6), dataset_revision=data_set.get("revision"), notes=notes
    )
    return str(yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False))


def check(push: Push) -> None:
    """Raise MachineError without a token or a connection; ArtifactError where the repository is more public than asked for."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import RepositoryNotFoundError

    if reason := hub.offline_reason():
        raise MachineError(f"nothing can be sent to the hub: {reason}", "Send it where the hub can be reached.")
    if get_token() is None:
        raise MachineError(
            "nothing can be sent to the hub: there is no token", "Run `hf auth login`, or set HF_TOKEN to one that may write."
        )
    with explained(push.repo):
        try:
            is_private = HfApi().model_info(push.repo).private
        except RepositoryNotFoundError:
            return
    if push.private and not is_private:
        raise ArtifactError(
            f"{push.repo}: the repository is public, and everyone could read what is sent", "Say --public, or name another one."
        )


def send(push: Push) -> str:
    """Make the repository, if there is none, and send all files as one commit; returns the commit's address.

    Raises:
        MachineError: the hub refuses it.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    with explained(push.repo):
        api.create_repo(push.repo, private=push.private, exist_ok=True)
        operations = [CommitOperationAdd(name, str(file) if isinstance(file, Path) else file) for name, file in push.files.items()]
        commit: Any = api.create_commit(push.repo, operations, commit_message=f"Export of loralift: {push.measured['metric']} measured")
        return str(commit.commit_url)


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Turn what the hub answers into a message that a user can act on; it never holds the token."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise ModelError(f"{repo} is no name of a repository: {' '.join(str(error).split())[:200]}", "Write it as OWNER/NAME.") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if type(error).__name__ == "RepositoryNotFoundError" and status == 404:
            raise
        why = {401: "the token is not valid", 403: "the token may not write there"}.get(status, f"it answers {status}")
        raise MachineError(f"the hub refuses {repo}: {why}", "Look at the token's permissions and the owner of the repository.") from None
    except Exception as error:  # of the network library, which the hub's may change
        if not isinstance(error, OSError) and not type(error).__module__.startswith("http"):
            raise
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise MachineError(f"{repo}: {why}", "Send it again; a commit arrives whole or not at all.") from None
