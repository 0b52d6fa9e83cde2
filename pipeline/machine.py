"""Describes the computer that jobs run on, and the arguments of a stage. Nothing here ever enters a key."""

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
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


RESIDENCIES = ("auto", "packed", "dequantized")
"""4-bit weights: dequantized once where memory allows, in 4 bit always, dequantized always. The values are the same bit for bit."""


def is_hub_offline() -> bool:
    """Whether HF_HUB_OFFLINE is set, as huggingface_hub reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "TRUE", "YES", "ON")


@dataclass(frozen=True)
class RetryPolicy:
    """When to retry a busy or broken server, and when to give up."""

    tries: int = 8
    """Requests for one prompt before the run gives up."""
    first: float = 1.0
    """Seconds before the second try; doubled for every further one, and shortened by up to a half at random."""
    longest: float = 60.0
    """Upper limit of the doubled wait, in seconds."""
    heed: float = 300.0
    """Longest Retry-After that is respected, in seconds."""
    timeout: float = 600.0
    """Seconds without a byte from the server before a request is cut."""


@dataclass(frozen=True)
class EndpointSettings:
    """How to reach a reference model. Only endpoint and model decide its answers; the rest enters no key."""

    endpoint: str
    """Base URL, as https://api.openai.com/v1."""
    model: str
    key_env: str = "OPENAI_API_KEY"
    """The environment variable with the key; empty for a server without keys."""
    concurrency: int = 8
    patience: RetryPolicy = RetryPolicy()


@dataclass(frozen=True)
class Machine:
    """How to run, from the command line."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:1`. Several are separated by commas; a job gets one, and one that is named twice takes two."""
    tokens: int | None = None
    """Padded tokens in one training pass or generation batch; unset: by device."""
    residency: str = "auto"
    """How 4-bit weights are held while a model trains or answers; one of RESIDENCIES."""
    track: str = ""
    """A tracker of accelerate in addition to the CSV: tensorboard, wandb or trackio."""
    offline: bool = field(default_factory=is_hub_offline)
    """Make no request to the hub."""
    unsafe_code: bool = False
    """Run generated code even where this machine cannot keep it from the network."""
    endpoints: tuple[EndpointSettings, ...] = ()
    """How to reach the recipe's reference models."""
    save_seconds: float = 20.0
    """Seconds between two resume points; what a kill can cost."""
    workers: int = 1
    """Jobs that run at a time, where a run may send them elsewhere; a job that needs a GPU waits for a free device as well."""
    place: str = "local"
    """Where jobs run: `local`, or the address of a Ray cluster; see cluster/address.py."""
    max_jobs: int | None = None
    """Jobs on weights that may run at a time on a cluster; None: as many as it takes."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of all devices of a run."""
        return tuple(self.device.split(","))

    def with_device(self, name: str) -> "Machine":
        """The machine as seen by a job that runs on one of its devices."""
        return replace(self, device=name)

    def endpoint(self, address: str, model: str) -> EndpointSettings:
        """How to reach a model: settings of the machine, since API key and concurrency must not enter keys.

        Raises:
            MachineError: the recipe does not say.
        """
        for settings in self.endpoints:
            if (settings.endpoint, settings.model) == (address, model):
                return settings
        raise MachineError(
            f"reference {model} at {address}: the recipe does not say how to reach it", "Name it under references: in the recipe."
        )

    def torch_device(self) -> Any:
        """The torch.device that a job runs on.

        Raises:
            MachineError: there is no such device, or not on this machine.
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
        device = torch.device(self.device)
        if device.index is not None and device.type == "cuda" and device.index >= torch.cuda.device_count():
            raise MachineError(f"--device {self.device}: this machine has {torch.cuda.device_count()} CUDA devices", "The first is cuda:0.")
        return device


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
def environment() -> dict[str, Any]:
    """Versions, hardware and git state, for manifests."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": package_versions(),
        "cpu": cpu(),
        "git": git_state(),
    } | gpu()


def package_versions() -> dict[str, str]:
    """The installed version of every package in PACKAGES, or `not installed`."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


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
    """Commit and whether the working tree differs from it; empty if this code does not run from a git checkout."""
    folder = checkout()
    if folder is None:
        return {}

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def cuda_of(device: str) -> Any | None:
    """The torch.device of a job that runs on CUDA, by the name of its device; None if torch is not loaded or the job is on the CPU."""
    torch = sys.modules.get("torch")
    if torch is None or device == "cpu" or not torch.cuda.is_available():
        return None
    return torch.device("cuda" if device == "auto" else device)


def reset_peak_memory(device: str) -> None:
    """Reset the peaks, so that a job does not inherit those of earlier jobs in the process.

    The allocator's unused blocks are freed, as they would count as reserved. Linux resets the resident peak; elsewhere it cannot be
    reset, and stays that of the process so far.
    """
    cuda = cuda_of(device)
    if cuda is not None:
        torch = sys.modules["torch"]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(cuda)
    with suppress(OSError):  # a system without /proc, or one that lets nobody write there
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: str) -> dict[str, int]:
    """Peak bytes since reset_peak_memory(): resident memory of this process, and what the CUDA allocator reserved on a job's device.

    The stage `speed` resets the CUDA peak for every arm, so its own is that of the last one.
    """
    import resource

    peak = {"rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)}
    cuda = cuda_of(device)
    if cuda is not None:
        peak["cuda"] = sys.modules["torch"].cuda.max_memory_reserved(cuda)
    return peak


def free_memory() -> int:
    """Bytes that this process can still take: of the machine, or of its control group (a container's) if that is less."""
    import psutil

    available = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError, KeyError):  # `max` where there is no limit
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / "memory.current").read_text()) - int(stat["inactive_file"])
        return min(available, int((group / "memory.max").read_text()) - used)
    return available


def provenance(machine: Machine) -> dict[str, Any]:
    """How and on what a job ran, for its manifest."""
    return {"machine": asdict(machine), **environment(), "peak": peak_memory(machine.device)}
