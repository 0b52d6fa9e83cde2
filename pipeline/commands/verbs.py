"""Guards the verbs against what comes from outside of them: Ctrl-C, a disk that refuses, a store that cannot be one; prints errors."""

import os
import stat
import tempfile
import traceback
from pathlib import Path
from typing import Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from pipeline.errors import MachineError, UserError
from pipeline.machine import git_state, package_versions
from pipeline.progress import Terminal, say
from pipeline.store.artifact import MANIFEST
from pipeline.store.disk import EXPLANATIONS, explanation
from pipeline.store.user_code import UserCodeError

STOPPED = "\nInterrupted. Run the same command to resume."


class Verbs(TyperGroup):
    """All verbs. Click would answer Ctrl-C and a premature end of a file alike, with 'Aborted.' and nothing else."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say(STOPPED)
            raise typer.Exit(130) from None
        except EOFError as error:
            raise RuntimeError(f"a file ended before its end ({error})") from error
        except OSError as error:
            if explained := explanation(error, Path.cwd()):
                raise explained from error
            raise


def show_version(has_options: bool) -> None:
    """Print the version, with the commit in a checkout, and exit; nothing unless asked."""
    if has_options:
        commit = git_state().get("commit", "")
        Terminal().print(f"loralift {package_versions()['loralift']}{f' (commit {commit[:12]})' if commit else ''}")
        raise typer.Exit


def usable_store(root: Path) -> Path:
    """The folder of --store, if artifacts can be read there; it need not exist.

    Raises:
        MachineError: it or a folder in it is a file, a link that leads nowhere or in a circle, or not open to this user.
    """
    for folder in (root, root / "data", root / "checkpoints"):
        try:
            is_folder = stat.S_ISDIR(folder.stat().st_mode)
        except FileNotFoundError:
            if folder.is_symlink():
                raise MachineError(f"--store {root}: {folder} is a link that leads nowhere", "Mend the link, or choose another.") from None
            continue
        except OSError as error:
            problem, remedy = EXPLANATIONS.get(error.errno or 0, (error.strerror, "Choose another folder with --store."))
            raise MachineError(f"--store {root}: cannot use {folder}: {problem}", remedy) from None
        if not is_folder:
            raise MachineError(f"--store {root}: {folder} is a file, not a folder", "Choose another folder with --store.")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise MachineError(f"--store {root}: no permission to read {folder}", "Choose another place, or change its permissions.")
    if outer := outer_store(root):
        say(f"--store {root} lies inside the store {outer}, and a store of its own begins there; for those artifacts: --store {outer}")
    return root


def outer_store(root: Path) -> Path | None:
    """The store that a folder is a part of, if its artifacts lie in it: somebody named `data` where the folder above was meant."""
    folder = root.resolve()
    part = next((path for path in (folder, *folder.parents) if path.name in ("data", "checkpoints")), None)
    if part is None or not any(next(part.glob(f"{depth}*--*/{MANIFEST}"), None) for depth in ("", "*/")):
        return None
    return part.parent


def show_error(error: UserError) -> None:
    """Print what is wrong and its remedy to stderr; of code of the user's that failed also where its traceback is."""
    lines = Text.assemble(("error:", "bold red"), f" {error.problem}", f"\n  {error.remedy}" if error.remedy else "")
    Terminal(stderr=True).print(lines, soft_wrap=True)
    if isinstance(error, UserCodeError) and error.__cause__:
        Terminal(stderr=True).print(f"  The traceback: {traceback_file(error.__cause__)}", soft_wrap=True)


def traceback_file(error: BaseException) -> str:
    """A new file that holds the traceback of an error."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="loralift-traceback-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    return file.name
