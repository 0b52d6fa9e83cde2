"""Fine-tunes a model with 4-bit LoRA and measures, with evidence, what it gained over its base. `from pipeline import load, run`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.api import Arm, Cell, Result, load, read_report, run

__all__ = ["Arm", "Cell", "Result", "load", "read_report", "run"]


def __getattr__(name: str) -> Any:
    """The names of the Python API, loaded when they are first used: the command line starts without them."""
    if name in __all__:
        from pipeline import api

        return getattr(api, name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
