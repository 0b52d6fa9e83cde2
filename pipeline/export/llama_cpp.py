"""Runs a GGUF file with llama.cpp, through llama-cpp-python: one row at a time, greedy, and with llama.cpp's own tokens"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.engine.backend import Backend, Ids
from pipeline.engine.batching import TokenRow
from pipeline.engine.generation import SamplingParams, StopConditions
from pipeline.errors import ModelError
from pipeline.models.renderer import Renderer
from pipeline.store.folders import LivenessMeasures

SILENT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda level, text, data: None)
"""Takes what the library would print."""


def is_installed() -> bool:
    """Whether there is llama-cpp-python."""
    return find_spec("llama_cpp") is not None


class LlamaCpp(Backend):
    """A model in llama.cpp."""

    def __init__(self, llama: Any, render: Renderer, window: int) -> None:
        """llama: a llama_cpp.Llama. window: see Backend."""
        from llama_cpp import llama_cpp

        self.llama = llama
        self.render = render
        self.library = llama_cpp
        self.vocabulary = int(llama.n_vocab())
        self.context_window = window
        vocab = llama_cpp.llama_model_get_vocab(llama.model)
        self.eos_ids = tuple(number for number in range(self.vocabulary) if llama_cpp.llama_vocab_is_eog(vocab, number))
        self.evaluated: list[int] = []

    def prompt_ids(self, text: str, is_chat: bool) -> list[int]:
        """The ids of a prompt as llama.cpp reads it; a start token that a chat template wrote is not doubled.

        Args:
            is_chat: the text is that of a chat template, with control tokens in it.
        """
        start = self.render.tokenizer.bos_token or ""
        if is_chat and start and self.render.adds_start:
            text = text.removeprefix(start)
        ids: list[int] = self.llama.tokenize(text.encode("utf-8"), add_bos=True, special=is_chat)
        return ids

    def logits(self, ids: Ids) -> Any:
        """The logits after a row (vocabulary,), float32; what it has in common with the row before is not computed again."""
        import numpy

        ids = list(ids)
        pairs = zip(ids[:-1], self.evaluated, strict=False)
        common = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(ids) - 1, len(self.evaluated)))
        self.llama.n_tokens = common
        self.llama.eval(ids[common:])
        self.evaluated = ids
        pointer = self.library.llama_get_logits_ith(self.llama.ctx, -1)
        return numpy.ctypeslib.as_array(pointer, shape=(self.vocabulary,)).copy()

    def generate(self, prompts: Sequence[Ids], stop: StopConditions, sampling: SamplingParams | None = None) -> list[list[int]]:
        assert sampling is None, "exports are compared by their greedy answers"
        return [self.continuation(prompt, stop) for prompt in prompts]

    def continuation(self, prompt: Ids, stop: StopConditions) -> list[int]:
        """The greedy continuation of one prompt."""
        row: list[int] = []
        limit = min(stop.max_new_tokens, self.context_window - len(prompt))
        while len(row) < limit and (not row or row[-1] not in stop.eos_ids):
            row.append(int(self.logits([*prompt, *row]).argmax()))
            if stop.all_strings and stop.first_end(self.render.decode(row)) is not None:
                break
        return row

    def logprobs(self, rows: Sequence[TokenRow]) -> list[float]:
        return [sum(value for value, _ in self.target_scores(row)) for row in rows]

    def choice_logprobs(self, prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]]) -> list[list[float]]:
        return [[total for total, _ in row] for row in self.choice_scores(prompts, choices)]

    def choice_scores(self, prompts: Sequence[Ids], choices: Sequence[Sequence[Ids]]) -> list[list[tuple[float, bool]]]:
        def of(prompt: Ids, choice: Ids) -> tuple[float, bool]:
            scores = list(self.target_scores(TokenRow.from_prompt(prompt, choice)))
            return sum(value for value, _ in scores), all(is_greedy for _, is_greedy in scores)

        return [[of(prompt, choice) for choice in row] for prompt, row in zip(prompts, choices, strict=True)]

    def target_scores(self, row: TokenRow) -> Iterator[tuple[float, bool]]:
        """The log-probability of every target of a row, and whether it is the likeliest token there."""
        import numpy

        for place in (place for place, is_target in enumerate(row.is_target) if is_target):
            logits = self.logits(row.ids[:place]).astype(numpy.float64)
            shifted = logits - logits.max()
            yield float(shifted[row.ids[place]] - numpy.log(numpy.exp(shifted).sum())), int(logits.argmax()) == row.ids[place]

    def examine_adapter(self, folder: Path, prompts: Sequence[Ids]) -> LivenessMeasures:
        raise NotImplementedError("an export is compared with its adapter, whose effect was examined")

    def target_logits(self, rows: Sequence[TokenRow]) -> list[Any]:
        """Of each row the logits before each target and after the last (targets + 1, vocabulary), float32."""
        import torch

        starts = [len(row.ids) - row.target_count for row in rows]
        return [
            torch.stack([torch.from_numpy(self.logits(row.ids[:end])) for end in range(start, len(row.ids) + 1)])
            for row, start in zip(rows, starts, strict=True)
        ]


@contextmanager
def opened(model: Path, adapter: Path | None, window: int, render: Renderer, on_gpu: bool) -> Iterator[LlamaCpp]:
    """Load a GGUF file, with an adapter on it if there is one.

    Args:
        window: tokens of prompt and answer together that are needed.

    Raises:
        ModelError: it does not load.
    """
    from llama_cpp import Llama, llama_cpp

    llama_cpp.llama_log_set(SILENT, ctypes.c_void_p(0))
    threads = int(os.environ["OMP_NUM_THREADS"]) if os.environ.get("OMP_NUM_THREADS", "").isdecimal() else None
    try:
        llama = Llama(
            str(model), lora_path=str(adapter) if adapter else None, n_ctx=window, n_threads=threads, n_threads_batch=threads,
            n_gpu_layers=-1 if on_gpu else 0, verbose=False,
        )  # fmt: skip
    except (ValueError, RuntimeError) as error:
        problem = f"llama.cpp cannot load {(adapter or model).name}: {' '.join(str(error).split())[:200]}"
        raise ModelError(problem, "Update llama-cpp-python, or export with --form merged.") from error
    try:
        yield LlamaCpp(llama, render, window)
    finally:
        llama.close()
