"""Declares the options of `loralift bench-serve`"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Device
from pipeline.commands.serve_options import ServeOptions
from pipeline.errors import RecipeError


@dataclass(frozen=True)
class BenchOptions:
    """What is measured, a field for each option."""

    clients: Annotated[str, typer.Option(help="Numbers of clients, each of which sends one request after the other.")] = "1,8,32"
    adapters: Annotated[str, typer.Option(help="Numbers of adapters in use. More than there are: each is loaded several times.")] = "1,8,32"
    tokens: Annotated[int, typer.Option(min=1, help="New tokens of an answer, at most.")] = 64
    requests: Annotated[int, typer.Option(min=1, help="Requests of every client.")] = 4
    out: Annotated[Path | None, typer.Option(help="A JSON file for the results, with the machine and the versions.")] = None
    base: Annotated[str | None, typer.Option("--base", help="The base of adapters without a recipe; unset: as they name it.")] = None
    max_batch_tokens: Annotated[int | None, typer.Option(min=1, help="As of serve.")] = None
    device: Device = "auto"

    @property
    def client_counts(self) -> list[int]:
        return counts("--clients", self.clients)

    @property
    def adapter_counts(self) -> list[int]:
        return counts("--adapters", self.adapters)

    @property
    def served(self) -> ServeOptions:
        return ServeOptions(base=self.base, device=self.device)


def counts(option: str, text: str) -> list[int]:
    """`1,8,32` as numbers, in order. Raises RecipeError."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise RecipeError(f"{option} {text}: these are no numbers from 1 on.", f"Write {option} 1,8,32.")
    return sorted({int(part) for part in parts})
