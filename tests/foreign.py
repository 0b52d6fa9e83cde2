"""Adapters and models as others make them: with plain peft or TRL, not with the code under test; and answers by a loop of its own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = 150


def base_of(folder: Path, quantize: bool = False):
    """The base in a folder, loaded without the code under test."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    nf4 = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32
    )
    extra = {"quantization_config": nf4, "device_map": {"": "cpu"}} if quantize else {}
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **extra)


def adapter(folder: Path, base: Path, seed: int = 0, **options):
    """Save an adapter with random weights that change what the base says; returns its folder. Options are those of LoraConfig."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model = get_peft_model(base_of(base), LoraConfig(task_type="CAUSAL_LM", **{"r": 4, "target_modules": "all-linear", **options}))
    for name, value in model.named_parameters():
        if "lora_B" in name or "lora_embedding_B" in name or ("modules_to_save" in name and value.requires_grad):
            value.data += 0.1 * torch.randn_like(value)
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def trained(folder: Path, base: Path, rows: list[tuple[str, str]], **options):
    """Train an adapter on questions and answers with plain peft and AdamW over NF4, and save it; returns its folder."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    settings = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"} | options
    model = get_peft_model(base_of(base, quantize=True), LoraConfig(task_type="CAUSAL_LM", **settings))
    fit(model, base, rows, learning_rate=1e-2)
    model.save_pretrained(folder)
    return folder


def trained_by_trl(folder: Path, base: Path, rows: list[tuple[str, str]]):
    """Train an adapter on questions and answers with TRL's SFTTrainer and peft, and save it; returns its folder."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    torch.manual_seed(0)
    config = SFTConfig(
        str(folder.with_name("trl")), max_steps=STEPS, per_device_train_batch_size=8, learning_rate=2e-3, lr_scheduler_type="constant",
        completion_only_loss=True, max_length=None, use_cpu=True, bf16=False, report_to=[], save_strategy="no", disable_tqdm=True,
        gradient_checkpointing=False, dataset_num_proc=None,
    )  # fmt: skip
    trainer = SFTTrainer(
        base_of(base),
        config,
        train_dataset=Dataset.from_list([{"prompt": question, "completion": f" {answer}"} for question, answer in rows]),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear"),
    )
    trainer.train()
    trainer.save_model(folder)
    return folder


def fully_trained(folder: Path, base: Path, rows: list[tuple[str, str]]):
    """Train all weights on questions and answers with AdamW, and save the model; returns its folder."""
    model = base_of(base)
    fit(model, base, rows, learning_rate=2e-3)
    model.save_pretrained(folder)
    return with_tokenizer(folder, base)


def fit(model, base: Path, rows: list[tuple[str, str]], learning_rate: float) -> None:
    """Take STEPS steps of AdamW on batches of eight rows."""
    import torch
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=learning_rate)
    pairs = [encoded(tokenizer, *row) for row in rows]
    for step in range(STEPS):
        batch = [pairs[(step * 8 + place) % len(pairs)] for place in range(8)]
        width = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids, _ in batch])
        labels = torch.tensor([[*labels, *[-100] * (width - len(labels))] for _, labels in batch])
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def model(folder: Path, base: Path, seed: int = 0, change=None, **config):
    """Save a whole model with the base's tokenizer and other weights; returns its folder.

    Args:
        change: what else to do to it before it is saved.
        config: keys of its configuration that differ.
    """
    import torch

    torch.manual_seed(seed)
    tuned = base_of(base)
    for value in tuned.parameters():
        value.data += 0.05 * torch.randn_like(value)
    if change:
        change(tuned)
    for key, value in config.items():
        setattr(tuned.config, key, value)
    tuned.save_pretrained(folder)
    return with_tokenizer(folder, base)


def merged(folder: Path, base: Path, adapter: Path):
    """Merge an adapter into its base and save the result with the base's tokenizer; returns its folder."""
    from peft import PeftModel

    PeftModel.from_pretrained(base_of(base), adapter).merge_and_unload().save_pretrained(folder)
    return with_tokenizer(folder, base)


def with_tokenizer(folder: Path, base: Path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base / name, folder / name)
    return folder


def encoded(tokenizer, question: str, answer: str) -> tuple[list[int], list[int]]:
    """Ids of a question with its answer and the end token, and its labels: loss on the answer alone."""
    prompt = tokenizer(question)["input_ids"]
    target = [*tokenizer(f" {answer}", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return [*prompt, *target], [*[-100] * len(prompt), *target]


def answers(base: Path, folder: Path | None, questions: list[str], new_tokens: int) -> list[str]:
    """Greedy answers to questions one by one, with transformers and peft alone, on the base in NF4.

    Args:
        folder: of an adapter; None: without one.
    """
    import torch
    from bitsandbytes.nn import Linear4bit
    from peft import PeftModel
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = base_of(base, quantize=True).eval()
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False  # its kernel for CPUs rounds to bf16
    model = PeftModel.from_pretrained(model, folder).eval() if folder else model
    texts = []
    for question in questions:
        ids = torch.tensor([tokenizer(question)["input_ids"]])
        with torch.inference_mode():
            out = model.generate(input_ids=ids, max_new_tokens=new_tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        texts.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    return texts


def configure(config: Path, **keys: Any) -> None:
    """Set keys of a JSON file."""
    config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | keys), "utf-8")


def change_tensors(weights: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Rewrite a file of safetensors by a function of its tensors by name."""
    from safetensors.torch import load_file, save_file

    save_file(change(load_file(weights)), weights, {"format": "pt"})
