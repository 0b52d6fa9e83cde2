"""A tiny random model, its tokenizer, and folders as the stages write them: real, only small."""

from pathlib import Path
from typing import Any

from pipeline import stages
from pipeline.machine import Machine, Work
from pipeline.models.base_model import folder_digest
from pipeline.store import records
from pipeline.store.artifact import Artifact, ArtifactSpec, file_hashes, json_sha256
from pipeline.store.records import Example

WORDS = "red blue green one two three four five cat dog bird sees likes wants the a says yes no maybe : . ? ! \n".split(" ")
SHARED = Path(__file__).parents[1].parent / "shared"
STORIES = SHARED / "models" / "tinystories-656k"

FINETUNE = {
    "quantization": "nf4", "compute": "fp32", "rank": 4, "alpha_per_rank": 2.0, "rslora": False, "dora": False, "dropout": 0.0,
    "targets": "all-linear", "learning_rate": 5e-3, "schedule": "cosine", "warmup": 0.1, "weight_decay": 0.0, "max_grad_norm": 1.0,
    "batch_examples": 8, "packing": False, "epochs": 1, "max_steps": None, "dev_every": 3, "keep": "best", "seed": 0,
    "init": "default", "rank_pattern": {}, "alpha_pattern": {}, "layers": None, "loraplus_lr_ratio": None, "lora_fa": False,
}  # fmt: skip
GENERATE = {"quantization": "nf4", "compute": "fp32", "max_new_tokens": 8, "stop": [], "score_choices": False}


def make_model(folder: Path, hidden: int = 64, mlp: int = 128, seed: int = 0) -> dict[str, Any]:
    """Save a random Llama of two layers with a byte-level tokenizer; returns its spec."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=hidden, intermediate_size=mlp, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=256, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return spec(folder)


def spec(folder: Path, chat: bool | None = None) -> dict[str, Any]:
    return {
        "repo": None,
        "revision": None,
        "folder": str(folder),
        "chat": chat,
        "trust_remote_code": False,
        "digest": folder_digest(folder),
    }


def examples(count: int, offset: int = 0) -> list[Example]:
    """Little questions of mixed length, with answers that can be learned."""
    rows = []
    for n in range(offset, offset + count):
        words = " ".join(WORDS[(n * 7 + k * 3) % 18] for k in range(1 + n % 6))
        rows.append(Example(f"e{n}", f"the {words} ?", "yes" if n % 2 else "no maybe", ("yes", "no", "maybe")))
    return rows


def write_part(folder: Path, rows: list[Example], dev: list[Example] | None = None) -> Path:
    """A folder as prepare writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    records.write(folder / "examples.jsonl", rows)
    records.write(folder / "dev.jsonl", dev or [])
    return folder


def work(out: Path, params: dict[str, Any], machine: Machine | None = None, **inputs: Path) -> Work:
    out.mkdir(parents=True, exist_ok=True)
    return Work(params, inputs, out, out.with_name(out.name + ".resume"), machine or Machine(device="cpu"))


def seal(folder: Path, facts: dict[str, Any], stage: str = "finetune") -> None:
    """Write the manifest of a folder where it lies; without further words it is an adapter's."""
    spec, files = ArtifactSpec(stage, "", stages.find(stage).module.VERSION, {}, {}), file_hashes(folder)
    Artifact(folder, spec.stage, spec.key, json_sha256(files), spec.version, spec.params, spec.inputs, files, facts, {}).write_manifest(
        folder
    )
