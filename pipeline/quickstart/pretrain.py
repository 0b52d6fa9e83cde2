"""Pretrains `checkpoints/quickstart-base/`: its tokenizer, its weights and its model card.

Run: `make base-model`. About an hour and a half on one core; equal seeds and library versions
give an equal model. Progress goes to `checkpoints/quickstart-base.log`; an interrupted run
resumes from `checkpoints/.quickstart-base.pt`.
"""

import hashlib
import itertools
import json
import math
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pipeline.quickstart import corpus, lexicon
from pipeline.resources import shipped

SPECIAL = ["<pad>", "<bos>", "<eos>"]


@dataclass(frozen=True)
class Setup:
    """Everything that decides the base model, except the corpus."""

    seed: int = 0
    vocabulary: int = 1536
    hidden: int = 256
    layers: int = 4
    heads: int = 8
    mlp: int = 768
    context: int = 192
    """Tokens; the longest of 120,000 documents has 191."""
    steps: int = 4715
    drill_from: int = 2600
    """The step from which documents come from the second part of the training."""
    tokens_per_step: int = 4096
    """Padded tokens in one optimizer step."""
    matrix_rate: float = 0.02
    """Peak learning rate of Muon, for the weight matrices of the blocks."""
    other_rate: float = 2e-3
    """Peak learning rate of AdamW, for embeddings and norms."""
    warmup: int = 200
    buffer: int = 2048
    """Documents that are sorted by length together, to limit padding."""


def make_tokenizer(setup: Setup) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which spaces, single digits and words never share a token.

    A name is then the same tokens in prose, in JSON and after a colon, so that copying it is
    copying tokens; and no prompt can fuse with the first token of its answer.
    """
    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=setup.vocabulary, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(itertools.islice(corpus.documents(setup.seed), 40_000), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", clean_up_tokenization_spaces=False
    )


def make_model(setup: Setup, vocabulary: int) -> LlamaForCausalLM:
    """The untrained model."""
    torch.manual_seed(setup.seed)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=setup.hidden, intermediate_size=setup.mlp, num_hidden_layers=setup.layers,
        num_attention_heads=setup.heads, num_key_value_heads=setup.heads, max_position_embeddings=setup.context,
        tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    config._attn_implementation = "eager"  # 1.6 times as fast as sdpa for short rows on a CPU
    return LlamaForCausalLM(config)


def training_batches(setup: Setup, tokenizer: PreTrainedTokenizerFast) -> Iterator[torch.Tensor]:
    """The batches of the whole training, in order."""
    yield from itertools.islice(batches(setup, tokenizer, setup.seed), setup.drill_from)
    yield from batches(setup, tokenizer, setup.seed, drill=True)


def batches(setup: Setup, tokenizer: PreTrainedTokenizerFast, seed: int, drill: bool = False) -> Iterator[torch.Tensor]:
    """Right-padded token ids (documents, tokens), one document per row, rows of similar length."""
    rng = random.Random(f"order {seed}")
    texts = corpus.documents(seed, drill)
    while True:
        encoded = tokenizer(list(itertools.islice(texts, setup.buffer)), add_special_tokens=True)["input_ids"]
        rows = sorted(([*ids[: setup.context - 1], 2] for ids in encoded), key=len)
        groups: list[list[list[int]]] = [[]]
        for row in rows:
            if (len(groups[-1]) + 1) * len(row) > setup.tokens_per_step:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            width = max(map(len, group))
            yield torch.tensor([row + [0] * (width - len(row)) for row in group])


def loss_of(model: LlamaForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token, without padding."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), ignore_index=0)


@torch.no_grad()
def copy_accuracy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, kind: str) -> float:
    """The share of tokens predicted correctly when held-out names, or days and colors, are repeated."""
    people = lexicon.names("heldout")
    rng = random.Random("copying")
    correct = total = 0
    for _ in range(64):
        if kind == "names":
            names = "; ".join(people.person(rng) for _ in range(3))
            prompt = f"Names: {names}\nAgain: "
            pieces = [names]
        else:
            day, color = rng.choice(lexicon.DAYS), rng.choice(lexicon.COLORS)
            prompt = f"They come on {day}. The color is {color}.\nIn short: shade - "
            pieces = [color, " / time - ", day]
        ids = tokenizer(prompt + "".join(pieces))["input_ids"]
        predicted = model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
        position = len(tokenizer(prompt)["input_ids"])
        for number, piece in enumerate(pieces):
            expected = tokenizer(piece, add_special_tokens=False)["input_ids"]
            if number % 2 == 0:
                correct += sum(one == other for one, other in zip(predicted[position - 1 :], expected, strict=False))
                total += len(expected)
            position += len(expected)
    return correct / total


def optimizers(setup: Setup, model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the weight matrices, AdamW for everything else."""
    parameters = dict(model.named_parameters())
    matrices = [value for name, value in parameters.items() if value.ndim == 2 and "embed" not in name]
    others = [value for name, value in parameters.items() if value.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=setup.matrix_rate, weight_decay=0.01, momentum=0.95, adjust_lr_fn="original")
    return [muon, torch.optim.AdamW(others, lr=setup.other_rate, betas=(0.9, 0.95), weight_decay=0.0)]


def rate(setup: Setup, step: int) -> float:
    """Factor of the learning rate: warm-up, a plateau, and a linear decay to zero over the last 30 % of the steps."""
    return min(1.0, (step + 1) / setup.warmup, max(0.0, (setup.steps - step) / (0.3 * setup.steps)))


def pretrain(setup: Setup, folder: Path) -> None:
    """Train and save; an interrupted run resumes, a finished one saves again."""
    tokenizer = make_tokenizer(setup)
    model = make_model(setup, len(tokenizer))
    opts = optimizers(setup, model)
    peaks = [opt.param_groups[0]["lr"] for opt in opts]
    checkpoint = folder.with_name(f".{folder.name}.pt")
    start = time.time()
    facts: dict[str, float] = {"step": 0, "tokens": 0, "seconds": 0}
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        for opt, opt_state in zip(opts, state["opts"], strict=True):
            opt.load_state_dict(opt_state)
        facts = state["facts"]
        start -= facts["seconds"]
    check = list(itertools.islice(batches(setup, tokenizer, 999_983), 12))
    tokens = int(facts["tokens"])
    first_step = int(facts["step"])
    remaining = itertools.islice(training_batches(setup, tokenizer), first_step, setup.steps)
    for step, ids in enumerate(remaining, first_step + 1):
        for opt, peak in zip(opts, peaks, strict=True):
            opt.param_groups[0]["lr"] = peak * rate(setup, step - 1)
        loss_of(model, ids).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        tokens += int((ids != 0).sum())
        if step % 100 == 0 or step == setup.steps:
            facts = {"step": step, "tokens": tokens, **evaluate(model, tokenizer, check), "seconds": round(time.time() - start)}
            with folder.with_suffix(".log").open("a", encoding="utf-8") as log:
                print(json.dumps(facts), file=log)
            torch.save({"model": model.state_dict(), "opts": [opt.state_dict() for opt in opts], "facts": facts}, checkpoint)
    save(setup, model, tokenizer, folder, facts)


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, check: list[torch.Tensor]) -> dict[str, float]:
    """Loss in nats/token on documents without training, and copy accuracies; stops a run that has diverged."""
    loss = sum(float(loss_of(model, rows)) for rows in check) / len(check)
    if not math.isfinite(loss):
        sys.exit(f"the held-out loss is {loss}; lower matrix_rate")
    return {"held_out_loss": loss, "names": copy_accuracy(model, tokenizer, "names"), "days": copy_accuracy(model, tokenizer, "days")}


def save(setup: Setup, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path, facts: dict[str, Any]) -> None:
    """Write weights, tokenizer and model card."""
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    count = sum(value.numel() for value in model.parameters())
    (folder / "README.md").write_text(CARD.format(count=count, weights=weights, setup=json.dumps(asdict(setup)), **facts), "utf-8")


CARD = """\
---
license: apache-2.0
language: en
tags: [llama, synthetic]
---
# quickstart-base

A Llama-architecture language model of {count:,} parameters, pretrained by this project from nothing for its embedded
quickstart. It knows one small synthetic world (orders, reviews, tickets, records in made-up names) and can copy names
and numbers from its context. It is of no use for anything else.

- corpus: `pipeline/quickstart/corpus.py`, generated from seed; no text from elsewhere
- steps: {step:,}; tokens: {tokens:,} (padding not counted); {seconds:,} s on one CPU core, bf16 autocast
- cross-entropy on unseen documents: {held_out_loss:.4f} a token
- told a second time, {names:.3f} of the tokens of held-out names are right, and {days:.3f} of days and colors
- sha256 of model.safetensors: `{weights}`
- setup: `{setup}`

Made by `make base-model`.
"""

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    pretrain(Setup(), shipped("checkpoints/quickstart-base"))
