"""Declares the options of `loralift export`"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Device, Tokens, UnsafeCode
from pipeline.errors import RecipeError, suggest
from pipeline.export.request import FORMS, GGUF_TYPES, MARGIN, ExportRequest
from pipeline.machine import Machine


@dataclass(frozen=True)
class Choice:
    """Which adapter of a recipe is meant; None where the recipe has one."""

    task: str | None = None
    seed: int | None = None
    variant: str | None = None
    rank: int | None = None
    """To which its adapter is cut; None: as it was trained."""


def known_form(name: str) -> str:
    """The name, if there is such a form.

    Raises:
        RecipeError: there is none.
    """
    if name not in FORMS:
        raise RecipeError(f"--form {name}: there is no such form.", suggest(name, FORMS))
    return name


def known_type(name: str | None) -> str | None:
    """The name in the spelling of GGUF_TYPES, if there is such a type.

    Raises:
        RecipeError: there is none.
    """
    spelled = {kind.lower(): kind for kind in GGUF_TYPES}
    if name is not None and name.lower() not in spelled:
        raise RecipeError(f"--type {name}: there is no such type.", suggest(name, spelled))
    return None if name is None else spelled[name.lower()]


FormName = Annotated[
    str,
    typer.Option(
        "--form",
        callback=known_form,
        help="adapter: for peft; merged: into the dequantized 4-bit weights; merged-original: into the original weights; gguf: merged, and "
        "gguf-adapter: the adapter beside its base, for llama.cpp and Ollama.",
    ),
]
GgufType = Annotated[
    str | None,
    typer.Option("--type", callback=known_type, help="How a GGUF file stores its numbers: f16 or q8_0; unset: f16."),
]
Out = Annotated[Path, typer.Option("--out", help="The folder to write: a new or an empty one.")]
Within = Annotated[
    float | None,
    typer.Option(
        "--within",
        min=0.0,
        max=1.0,
        help=f"How much lower the primary metric may be; unset: compare.same_within of the recipe, else {MARGIN:g}.",
    ),
]
Examples = Annotated[int | None, typer.Option("--examples", min=1, help="Test examples that the export answers, at most; unset: all.")]
AcceptLoss = Annotated[bool, typer.Option("--accept-loss", help="Keep an export that loses more, and write the loss into its card.")]
Task = Annotated[str | None, typer.Option("--task", help="The task whose adapter is exported; needed where the recipe has several.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Its training seed; unset: the first.")]
VariantName = Annotated[str | None, typer.Option("--variant", help="The variant that is exported, where the recipe has several.")]

Rank = Annotated[
    int | None, typer.Option("--rank", min=1, help="Cut the adapter to this smaller rank by SVD; the cut answers the test examples first.")
]


def request_of(
    form: FormName,
    out: Out,
    gguf: GgufType = None,
    within: Within = None,
    examples: Examples = None,
    accept_loss: AcceptLoss = False,
) -> ExportRequest:
    """What is exported and when it is refused, by the command-line options.

    Raises:
        RecipeError: --type without a form of GGUF.
    """
    if gguf and not FORMS[form].gguf:
        forms = " or ".join(other.name for other in FORMS.values() if other.gguf)
        raise RecipeError(f"--type {gguf}: --form {form} is no GGUF file.", f"Leave it out, or name --form {forms}.")
    return ExportRequest(replace(FORMS[form], gguf=gguf) if gguf else FORMS[form], out, within, examples, accept_loss)


def choice_of(task: Task = None, seed: Seed = None, variant: VariantName = None, rank: Rank = None) -> Choice:
    """Which adapter is meant, by the command-line options."""
    return Choice(task, seed, variant, rank)


def exporting_machine_of(device: Device = "auto", tokens: Tokens = None, unsafe_code: UnsafeCode = False) -> Machine:
    """The machine that loads the export back and scores its answers, by the command-line options."""
    return Machine(device, tokens, unsafe_code=unsafe_code)
