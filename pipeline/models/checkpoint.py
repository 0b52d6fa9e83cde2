"""Reads single tensors of a model's safetensors files, under the names that transformers gives them."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
AGAIN = "Copy the model again, or load it where it is whole and call save_pretrained."


class Checkpoint:
    """The files that transformers loads from a folder: `model.safetensors`, or the pieces that the index names.

    Args:
        folder: with safetensors.
        expected: names of the tensors in memory; older files leave out their prefix or have one too many.
        prefix: of the decoder in memory, as `model`.

    Raises:
        ModelError: files are missing or damaged.
    """

    def __init__(self, folder: Path, expected: frozenset[str], prefix: str) -> None:
        self.folder = folder
        self.places: dict[str, tuple[Path, str]] = {}
        """By name in memory: the file, and the name there."""
        for path in self.files():
            for name in self.names_in(path):
                self.places[name_in_memory(name, expected, prefix)] = (path, name)

    def files(self) -> list[Path]:
        """The files, each of which is there."""
        if (self.folder / WHOLE).is_file():
            return [self.folder / WHOLE]
        names = sorted(set(index_of(self.folder).values()))
        if absent := [name for name in names if not (self.folder / name).is_file()]:
            raise ModelError(
                f"{self.folder} would be half loaded: {len(absent)} of {len(names)} files of {INDEX} are missing, the first {absent[0]}",
                AGAIN,
            )
        return [self.folder / name for name in names]

    def names_in(self, path: Path) -> list[str]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                return list(file.keys())
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}", AGAIN) from None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """By name, read from the headers."""
        from safetensors import safe_open

        shapes: dict[str, tuple[int, ...]] = {}
        for path in {path for path, _ in self.places.values()}:
            with safe_open(path, "pt") as file:
                shapes |= {name: tuple(file.get_slice(own).get_shape()) for name, (place, own) in self.places.items() if place == path}
        return shapes

    def tensor(self, name: str) -> Any:
        """One tensor, read anew."""
        from safetensors import safe_open

        path, own = self.places[name]
        with safe_open(path, "pt") as file:
            return file.get_tensor(own)

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(path.stat().st_size for path in {path for path, _ in self.places.values()})


def index_of(folder: Path) -> Mapping[str, str]:
    """Tensor to file, as the index of a model in pieces has it.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    path = folder / INDEX
    try:
        places = json.loads(path.read_text("utf-8"))["weight_map"]
    except FileNotFoundError:
        raise ModelError(f"{folder} has neither {WHOLE} nor {INDEX}", "Load it where it is whole and call save_pretrained.") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        places = None
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise ModelError(f"{path} does not name the files of the tensors", AGAIN)
    return places


def name_in_memory(name: str, expected: frozenset[str], prefix: str) -> str:
    """The name of a tensor in memory; as in the file where no tensor has it."""
    return next((form for form in (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}.")) if form in expected), name)
