"""Declares the options of `loralift serve`"""

from dataclasses import dataclass
from typing import Annotated

import typer

from pipeline.commands.options import Device
from pipeline.errors import RecipeError, suggest
from pipeline.serving.server import Address, Capacity

KEY_VARIABLE = "LORALIFT_API_KEY"
OWN, VLLM = "transformers", "vllm"
QUEUE = 256
MAX_BATCH_TOKENS: int | None = None


def validate_engine(name: str) -> str:
    """The name, if there is such an engine. Raises RecipeError."""
    if name not in (OWN, VLLM):
        raise RecipeError(f"--engine {name}: there is no such engine.", suggest(name, (OWN, VLLM)))
    return name


@dataclass(frozen=True)
class ServeOptions:
    """Where and how much is served, a field for each option."""

    base: Annotated[str | None, typer.Option("--base", help="The base of adapters without a recipe; unset: as they name it.")] = None
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for every network of this machine.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8000
    api_key: Annotated[
        str, typer.Option(envvar=KEY_VARIABLE, help="Requests must send it as a bearer token; better set the variable.", show_default=False)
    ] = ""
    max_adapters: Annotated[int, typer.Option(min=1, help="Adapters in memory; the least recently used one leaves.")] = 16
    max_rank: Annotated[int, typer.Option(min=1, help="Highest rank of an adapter.")] = 256
    max_batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Rows of a batch times the longest of them, in tokens; unset: by device.")
    ] = MAX_BATCH_TOKENS
    queue: Annotated[int, typer.Option(min=1, help="Answers that may wait; beyond, a request gets status 429.")] = QUEUE
    device: Device = "auto"
    engine: Annotated[
        str, typer.Option(callback=validate_engine, help=f"{OWN}: our own server; {VLLM}: starts vLLM with the same ids, on CUDA.")
    ] = OWN
    vllm_options: Annotated[str, typer.Option(help="Further options of vLLM, as '--max-model-len 8192'.", show_default=False)] = ""

    @property
    def address(self) -> Address:
        """Raises RecipeError for a key that no header can carry."""
        if self.api_key and not (self.api_key.isascii() and self.api_key.isprintable() and " " not in self.api_key):
            raise RecipeError("--api-key holds blanks, line ends or other characters.", f"Set {KEY_VARIABLE} to letters, digits and signs.")
        return Address(self.host, self.port, self.api_key)

    @property
    def capacity(self) -> Capacity:
        return Capacity(self.max_adapters, self.queue, self.max_batch_tokens)
