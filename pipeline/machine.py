"""The computer that the work runs on, and what a stage is handed. Nothing here ever enters a key."""

import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.errors import MachineError
from pipeline.resources import checkout

PACKAGES = (
    "loralift",
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "datasets",
    "accelerate",
    "evaluate",
    "tokenizers",
    "numpy",
    "scipy",
)


def is_hub_offline() -> bool:
    """Whether HF_HUB_OFFLINE is set, as huggingface_hub reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "TRUE", "YES", "ON")


@dataclass(frozen=True)
class Machine:
    """How to run, from the command line."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:1`."""
    tokens: int | None = None
    """Padded tokens in one training pass or generation batch; unset: by device."""
    track: str = ""
    """A tracker of accelerate beside the CSV: tensorboard, wandb or trackio."""
    offline: bool = field(default_factory=is_hub_offline)
    """Make no request to the hub."""
    unsafe_code: bool = False
    """Run generated code even where this machine cannot keep it from the network."""
    calls: tuple[Any, ...] = ()
    """How to reach the endpoints of the recipe's reference models: endpoint.Call."""
    save_seconds: float = 20.0
    """Seconds between two resume points; what a kill can cost."""

    def torch_device(self) -> Any:
        """The torch.device meant.

        Raises:
            MachineError: there is no such device, or not here.
        """
        check_device_name(self.device)
        import torch

        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise MachineError(
                f"--device {self.device}: this machine has no CUDA device",
                "Leave --device out to run on the CPU, or see `loralift doctor`.",
            )
        made = torch.device(self.device)
        if made.index is not None and made.type == "cuda" and made.index >= torch.cuda.device_count():
            raise MachineError(f"--device {self.device}: this machine has {torch.cuda.device_count()} CUDA devices", "The first is cuda:0.")
        return made


def check_device_name(name: str) -> None:
    """Raises MachineError, if no machine has a device of that name."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise MachineError(f"--device {name}: there is no such kind of device", "Known: auto, cpu, cuda, cuda:1.")


@dataclass(frozen=True)
class Work:
    """One call of a stage: read params and input folders, write into out, return facts for the manifest."""

    params: dict[str, Any]
    inputs: dict[str, Path]
    out: Path
    resume: Path
    """A folder that outlives a crash; a stage that uses it makes it."""
    machine: Machine = Machine()


@cache
def surroundings() -> dict[str, Any]:
    """Versions, hardware and git state, for manifests."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": package_versions(),
        "cpu": cpu(),
        "git": git_state(),
    } | gpu()


def package_versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def cpu() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), model)
    return {"model": model, "cores": os.cpu_count()}


def gpu() -> dict[str, Any]:
    """The CUDA device, if torch has been loaded and sees one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {"gpu": None}
    properties = torch.cuda.get_device_properties(0)
    return {
        "gpu": {"name": properties.name, "bytes": properties.total_memory, "cuda": torch.version.cuda, "count": torch.cuda.device_count()}
    }


def git_state() -> dict[str, Any]:
    """Commit and whether the working tree differs from it; empty where this code runs from no git checkout."""
    folder = checkout()
    if folder is None:
        return {}

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def peak_memory() -> dict[str, int]:
    """Peak bytes so far: resident memory of this process, and of the CUDA allocator where there is one."""
    import resource

    found = {"rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        found["cuda"] = torch.cuda.max_memory_reserved()
    return found


def described(machine: Machine) -> dict[str, Any]:
    return {"machine": asdict(machine), **surroundings(), "peak": peak_memory()}
