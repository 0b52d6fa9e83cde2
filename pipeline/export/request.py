"""Defines what an export is: its form, where it goes, and how much lower it may score"""

from dataclasses import dataclass
from pathlib import Path

MARGIN = 0.02
"""How much lower an export may score where neither the command line nor the recipe (`compare.same_within`) says it."""


@dataclass(frozen=True)
class Form:
    """What the folder holds."""

    name: str
    meaning: str
    merge: str = ""
    """Weights that the adapter is merged into, as the parameter `merge` of `generate`; empty: it stays an adapter."""
    gguf: str = ""
    """How the numbers of a GGUF file are stored, one of GGUF_TYPES; empty: the folder holds safetensors."""

    @property
    def title(self) -> str:
        """In tables and messages."""
        return f"{self.name} ({self.gguf})" if self.gguf else self.name


GGUF_TYPES = ("F16", "Q8_0")


FORMS = {
    form.name: form
    for form in (
        Form("adapter", "The adapter alone, to be loaded on its base."),
        Form("merged", "The adapter merged into the dequantized 4-bit weights, over which it was trained.", "dequantized"),
        Form("merged-original", "The adapter merged into the original, unquantized weights.", "original"),
        Form("gguf", "The merged model as a GGUF file, for llama.cpp and Ollama.", "dequantized", "F16"),
        Form("gguf-adapter", "The adapter as a GGUF file, beside the GGUF file of its base, for llama.cpp and Ollama.", gguf="F16"),
    )
}


@dataclass(frozen=True)
class ExportRequest:
    """Which form is exported, and when it is refused."""

    form: Form
    out: Path
    margin: float | None = None
    """How much lower the primary metric may be; None: as the recipe says, else MARGIN."""
    examples: int | None = None
    """Test examples that the export answers, at most; None: all."""
    accept_loss: bool = False
    """Keep an export that loses more than the margin."""
