"""Writes a tokenizer into a GGUF file: byte-level BPE or SentencePiece's, special tokens, what leads a text, and the chat template"""

import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.errors import ModelError
from pipeline.models.renderer import Renderer

UNUSED_TOKEN = "[PAD{}]"
"""For rows of the embedding that no token has, as llama.cpp's converter names them."""
CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASED = r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+%s|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*%s"
SLASHED = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


class Splitting(NamedTuple):
    """How llama.cpp splits a text before merges: by one expression after the other, in its own spelling."""

    name: str
    """The value of tokenizer.ggml.pre."""
    patterns: tuple[str, ...]
    ignore_merges: bool = False
    """A piece that is a token of its own is not built by merges."""


SPLITTINGS = (
    Splitting("llama-bpe", (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST,), True),
    Splitting("qwen2", (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST,)),
    Splitting("smollm", (r"\p{N}", GPT2)),
    Splitting("gpt-2", (GPT2,)),
    Splitting("tekken", (CASED % ("", "") + r"|\p{N}" + SLASHED,), True),
    Splitting("gpt-4o", (CASED % (CONTRACTIONS + "?", CONTRACTIONS + "?") + r"|\p{N}{1,3}" + SLASHED,)),
    Splitting("deepseek-coder", ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}")),
    Splitting("default", (r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
)
"""Those of models of the Llama architecture; the first that gives a tokenizer's own ids is written."""
PROBE = (
    "It's 'tis, they'll don't WE'VE I'D submit'select  two  spaces\n\nlines\r\n\ttabs   \n 3 14 159 2653 1,000,000 50% $9.99 €5 £7 "
    "`x` ``` x_1 == y[2] && f(a->b); /* c */ https://example.org/?q=1#top a@b.org "
    "ЧТО это 中文字符 かな 한국어 العربية हिन्दी naïve Ünïcode 😀👍 … — “q” ‘s’ x² ½"
)
"""A text on which the splittings differ."""
LEADS = ("", "'", " ", "\n", ".", "7", "a")
"""What stands before the words of a vocabulary when the splittings are compared."""


def add(writer: Any, render: Renderer, rows: int) -> None:
    """Add the tokenizer of a renderer.

    Args:
        writer: a GGUFWriter.
        rows: of the embedding.

    Raises:
        ModelError: llama.cpp has no tokenizer that gives the same ids.
    """
    tokenizer = render.tokenizer
    parts = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {}
    if parts.get("model", {}).get("type") != "BPE":
        kind = parts.get("model", {}).get("type", type(tokenizer).__name__)
        raise ModelError(
            f"a tokenizer of the kind {kind} cannot be written as GGUF here", "Install llama.cpp, whose converter may know it."
        )
    names = tokenizer.convert_ids_to_tokens(list(range(min(rows, len(tokenizer)))))
    names = [UNUSED_TOKEN.format(index) if name is None else name for index, name in enumerate(names)]
    names += [UNUSED_TOKEN.format(index) for index in range(len(names), rows)]
    is_spm = bool(parts["model"].get("byte_fallback"))
    writer.add_tokenizer_model("llama" if is_spm else "gpt2")
    merges = [pair.split(" ", 1) if isinstance(pair, str) else pair for pair in parts["model"]["merges"]]
    if is_spm:
        writer.add_tokenizer_pre("default")
        writer.add_token_scores(scores(names, merges))
        writer.add_add_space_prefix(tokenizer.tokenize("a")[0].startswith("▁"))
    else:
        writer.add_tokenizer_pre(splitting(tokenizer.backend_tokenizer, parts))
        writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_token_list(names)
    writer.add_token_types(types(tokenizer, names, is_spm))
    add_special(writer, render)


def add_special(writer: Any, render: Renderer) -> None:
    """Add the special tokens, whether a start token leads every prompt, and the chat template."""
    tokenizer = render.tokenizer
    ids = {"bos": tokenizer.bos_token_id, "unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id}
    for name, number in ids.items():
        if number is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    if render.end_id != tokenizer.eos_token_id:
        writer.add_eot_token_id(render.end_id)
    writer.add_add_bos_token(render.adds_start)
    writer.add_add_eos_token(False)
    if isinstance(template := tokenizer.chat_template, str):
        writer.add_chat_template(template)


def types(tokenizer: Any, names: Sequence[str], is_spm: bool) -> list[Any]:
    """What each token is: a piece of text, a byte, a control token, or nothing."""
    from gguf import TokenType

    added, vocabulary = tokenizer.added_tokens_decoder, tokenizer.get_vocab()

    def of(index: int, name: str) -> TokenType:
        if index in added:
            return TokenType.CONTROL if added[index].special else TokenType.USER_DEFINED
        if name not in vocabulary:
            return TokenType.UNUSED
        is_byte = is_spm and len(name) == 6 and name.startswith("<0x") and name.endswith(">")
        return TokenType.BYTE if is_byte else TokenType.NORMAL

    return [TokenType.UNKNOWN if is_spm and index == tokenizer.unk_token_id else of(index, name) for index, name in enumerate(names)]


def scores(names: Sequence[str], merges: Sequence[Sequence[str]]) -> list[float]:
    """SentencePiece's scores, by which it orders merges: minus the rank of the merge that first makes a token."""
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges):
        ranks.setdefault(left + right, rank)
    return [float(-ranks.get(name, len(merges))) for name in names]


def splitting(tokenizer: Any, parts: dict[str, Any]) -> str:
    """The name of the splitting under which llama.cpp gives the ids of a byte-level tokenizer.

    Args:
        tokenizer: of the library `tokenizers`.
        parts: the same as JSON.

    Raises:
        ModelError: none does.
    """
    texts = [PROBE, *shuffled_vocabulary(tokenizer)]
    expected = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    for candidate in SPLITTINGS:
        if candidate.ignore_merges == bool(parts["model"].get("ignore_merges")):
            got = as_llama_cpp(parts, candidate).encode_batch(texts, add_special_tokens=False)
            if [encoding.ids for encoding in got] == expected:
                return candidate.name
    raise ModelError(
        "the tokenizer splits text as none of llama.cpp's does that are known here, so a GGUF file would read prompts otherwise",
        "Install llama.cpp, whose converter may know it, or export with --form merged.",
    )


def as_llama_cpp(parts: dict[str, Any], candidate: Splitting) -> Any:
    """The tokenizer with llama.cpp's splitting and without a normalizer, which llama.cpp has not either."""
    from tokenizers import Regex, Tokenizer, pre_tokenizers

    tokenizer = Tokenizer.from_str(json.dumps({**parts, "normalizer": None, "pre_tokenizer": None}))
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in candidate.patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def shuffled_vocabulary(tokenizer: Any) -> list[str]:
    """The text of every token beside others, in a fixed random order, eight at a time, after each of LEADS."""
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    words = sorted(tokenizer.decode([number]) for name, number in tokenizer.get_vocab().items() if name not in special)
    words = [word for word in words if "\ufffd" not in word]
    random.Random(0).shuffle(words)
    return ["".join(lead + word for word in words[start : start + 8]) for lead in LEADS for start in range(0, len(words), 8)]
