"""Prints what this machine can do, in lines a user can act on."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pipeline.commands.preflight import existing
from pipeline.data import manual_files, task
from pipeline.machine import package_versions
from pipeline.page import fmt
from pipeline.sandbox import sandbox

GIB = 1 << 30


def examine(out: Console, store: Path) -> None:
    """Print one line for every requirement."""
    for name, is_ok, message in [*packages(), accelerator(), memory(), disk(store), hub(), generated_code(), *manual_data()]:
        mark = ("ok  ", "green") if is_ok else ("note", "yellow")
        out.print(Text.assemble(mark, f" {name:12} {message}"), soft_wrap=True)


def packages() -> list[tuple[str, bool, str]]:
    versions = package_versions()
    missing = [name for name, version in versions.items() if version == "not installed" and name != "loralift"]
    listed = ", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers", "peft", "bitsandbytes"))
    return [("packages", not missing, f"missing: {', '.join(missing)}; run: make setup" if missing else listed)]


def accelerator() -> tuple[str, bool, str]:
    if find_spec("torch") is None:
        return "device", False, "torch is not installed; run: make setup"
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return "device", True, f"{torch.cuda.get_device_name(0)}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, CUDA {torch.version.cuda}"
    built = "this torch is a CPU build" if torch.version.cuda is None else "no device found by the driver"
    return (
        "device",
        False,
        f"no CUDA ({built}); on the CPU ({fmt.plural(torch.get_num_threads(), 'thread')}) only very small models are practical",
    )


def memory() -> tuple[str, bool, str]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return "memory", total >= 4, f"{total:.1f} GiB"


def disk(store: Path) -> tuple[str, bool, str]:
    store = existing(store)
    free = shutil.disk_usage(store).free / GIB
    writable = os.access(store, os.W_OK)
    return (
        "disk",
        writable and free >= 2,
        f"{free:.1f} GiB free in {store.resolve()}" + ("" if writable else ", not writable; choose another with --store"),
    )


def hub() -> tuple[str, bool, str]:
    """Reads the token and settings only; makes no network request."""
    from huggingface_hub import constants, get_token

    endpoint = constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        return "hub", False, "HF_HUB_OFFLINE is set: only models and data that are already here"
    token = "a token is set" if get_token() else "no token (gated models need one: set HF_TOKEN)"
    return "hub", True, f"{endpoint}, {token}; not contacted, only settings were read"


def generated_code() -> tuple[str, bool, str]:
    missing = sandbox.available()
    if not missing:
        return "sandbox", True, "generated code runs without network, in a folder and with limits of its own"
    return "sandbox", False, f"{missing}; code tasks need --unsafe-code here"


def manual_data() -> list[tuple[str, bool, str]]:
    """The files that a person must download; those with a URL are fetched when they are needed."""
    rows = []
    for task_of_file, file, is_here in manual_files.required_files(task.find(name) for name in task.names()):
        if not file.url:
            is_optional = is_fallback(task_of_file, file)
            message = (
                manual_files.display_path(file)
                if is_here
                else f"{'only where the copy on the hub fails: ' if is_optional else ''}{manual_files.instructions(file)}"
            )
            rows.append(("data", is_here or is_optional, f"{task_of_file.name}: {message}"))
    return rows


def is_fallback(task_of_file: task.Task, file: task.ManualFile) -> bool:
    """Whether every split that may be read from a manual file is looked for on the hub first."""
    return all(sources[0].hub for sources in (task_of_file.train, task_of_file.heldout) if file in manual_files.distinct_files(sources))
