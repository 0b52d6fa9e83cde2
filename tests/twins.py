"""Tiny twins of the model table: each architecture with its quirks in under two million random weights, with a tokenizer of its kind."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.store.records import Example
from tests import tiny

WINDOW = 8
"""Sliding window of the twins that have one; most prompts of examples() are longer."""

WORDS = [*"red blue green one two three four five cat dog bird sees likes wants the a says yes no maybe word user model".split(), ".", "?"]


def template(turn: str, opening: str, start: str = "", answer: str = "") -> str:
    """A chat template: what stands at the start, how a turn of the user and one of the assistant look, and what opens an answer."""
    message = f"{{% if m.role == 'assistant' %}}{answer or turn}{{% else %}}{turn}{{% endif %}}"
    return f"{start}{{% for m in messages %}}{message}{{% endfor %}}{{% if add_generation_prompt %}}{opening}{{% endif %}}"


BOS, EOS, ROLE, TEXT = "{{ bos_token }}", "{{ eos_token }}", "{{ m.role }}", "{{ m.content | trim }}"
TODAY = "<|start_header_id|>system<|end_header_id|>\n\nToday Date: {{ strftime_now('%d %b %Y') }}\n\n<|eot_id|>"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
QUIET = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
THOUGHT = f"<|im_start|>{ROLE}\n<think>\n\n</think>\n\n{TEXT}<|im_end|>\n"


@dataclass(frozen=True)
class Form:
    """A kind of tokenizer with its chat template."""

    family: str
    """`bytes` (GPT: byte-level, a word begins with its blank), `prefix` (Llama 2: a blank before any text) or `pieces` (Gemma)."""
    bos: str | None
    eos: str
    pad: str | None
    chat: str | None
    more: tuple[str, ...] = ()
    """Further special tokens."""
    adds_bos: bool = True
    swallows: bool = False
    """The further special tokens take the blanks behind them."""
    reader: str = "PreTrainedTokenizerFast"
    """The class that its tokenizer_config.json names; transformers 5 builds some of the pipeline anew by it."""
    legacy: bool = False
    """Of LlamaTokenizer: a blank is put before every piece of text between special tokens, not before the first alone."""


FORMS = {
    "llama-2": Form(
        "prefix", "<s>", "</s>", None, template(f"{BOS}[INST] {TEXT} [/INST]", "", answer=f" {TEXT} {EOS}"), reader="LlamaTokenizer"
    ),
    "mistral": Form(
        "prefix", "<s>", "</s>", None, template(f"[INST] {TEXT} [/INST]", "", BOS, f" {TEXT}{EOS}"), reader="LlamaTokenizer", legacy=True
    ),
    "zephyr": Form(
        "prefix", "<s>", "</s>", "</s>", template(f"<|{ROLE}|>\n{TEXT}{EOS}\n", "<|assistant|>\n"), reader="LlamaTokenizer", legacy=True
    ),
    "gemma": Form(
        "pieces", "<bos>", "<eos>", "<pad>",
        template(
            f"<start_of_turn>{ROLE}\n{TEXT}<end_of_turn>\n", "<start_of_turn>model\n", BOS + NO_SYSTEM,
            f"<start_of_turn>model\n{TEXT}<end_of_turn>\n",
        ),
        ("<start_of_turn>", "<end_of_turn>"), reader="GemmaTokenizer",
    ),
    "none": Form("bytes", "<|endoftext|>", "<|endoftext|>", None, None, adds_bos=False, reader="CodeGenTokenizer"),
    "llama-3": Form(
        "bytes", "<|begin_of_text|>", "<|end_of_text|>", None,
        template(
            f"<|start_header_id|>{ROLE}<|end_header_id|>\n\n{TEXT}<|eot_id|>",
            "<|start_header_id|>assistant<|end_header_id|>\n\n", BOS + TODAY,
        ),
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    "phi-3": Form(
        "prefix", "<s>", "<|endoftext|>", "<|endoftext|>", template(f"<|{ROLE}|>\n{TEXT}<|end|>\n", "<|assistant|>\n"),
        ("<|user|>", "<|assistant|>", "<|end|>"), adds_bos=False, swallows=True, reader="LlamaTokenizer",
    ),
    "phi-4": Form(
        "bytes", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>", template(f"<|{ROLE}|>{TEXT}<|end|>", "<|assistant|>"),
        ("<|user|>", "<|assistant|>", "<|end|>"), adds_bos=False, reader="GPT2Tokenizer",
    ),
    "chatml": Form(
        "bytes", None, "<|im_end|>", "<|endoftext|>",
        template(f"<|im_start|>{ROLE}\n{TEXT}<|im_end|>\n", "<|im_start|>assistant\n"), ("<|im_start|>",), adds_bos=False,
        reader="Qwen2Tokenizer",
    ),
    "chatml-prefix": Form(
        "prefix", "<s>", "</s>", "</s>", template(f"<|im_start|>{ROLE}\n{TEXT}<|im_end|>\n", "<|im_start|>assistant\n"),
        ("<|im_start|>", "<|im_end|>"), reader="LlamaTokenizer", legacy=True,
    ),
    "thinking": Form(
        "bytes", None, "<|im_end|>", "<|endoftext|>",
        template(f"<|im_start|>{ROLE}\n{TEXT}<|im_end|>\n", "<|im_start|>assistant\n" + QUIET, answer=THOUGHT),
        ("<|im_start|>",), adds_bos=False, reader="Qwen2Tokenizer",
    ),
    "olmo": Form(
        "bytes", "<|endoftext|>", "<|endoftext|>", "<|pad|>",
        template(f"<|{ROLE}|>\n{TEXT}\n", "<|assistant|>\n", BOS, f"<|{ROLE}|>\n{TEXT}{EOS}\n"), adds_bos=False,
        reader="GPT2Tokenizer",
    ),
}  # fmt: skip
"""The chat forms of the model table, and none; ChatML also on a tokenizer of Llama 2's kind, which many fine-tunes of Mistral have."""

SCHEMAS = "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
HERMES = (
    SCHEMAS + "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{% if m.content or not loop.first %}{{ '\n' }}{% endif %}<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_JSON = (
    "{{ bos_token }}{% if tools %}{{ tools | tojson }}<|eot_id|>{% endif %}{% for m in messages %}"
    "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{% if m.tool_calls %}{% if m.tool_calls | length > 1 %}"
    "{{ raise_exception('This model only supports single tool-calls at once!') }}{% endif %}{% set f = m.tool_calls[0].function %}"
    '{"name": "{{ f.name }}", "parameters": {{ f.arguments | tojson }}}{% else %}{{ m.content | trim }}{% endif %}<|eot_id|>{% endfor %}'
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL_CALLS = (
    "{{ bos_token }}{% if tools %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}{% for m in messages %}"
    "{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]{% elif m.role == 'tool' %}[TOOL_RESULTS] {{ m.content }}[/TOOL_RESULTS]"
    "{% elif m.tool_calls %}[TOOL_CALLS] [{% for c in m.tool_calls %}{{ c.function | tojson }}{% if not loop.last %}, {% endif %}"
    "{% endfor %}]{{ eos_token }}{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
INSTRUCT = tuple(f"[{name}]" for name in "INST /INST AVAILABLE_TOOLS /AVAILABLE_TOOLS TOOL_RESULTS /TOOL_RESULTS TOOL_CALLS".split())
TOOL_FORMS = {
    "hermes": Form("bytes", None, "<|im_end|>", "<|endoftext|>", HERMES, ("<|im_start|>",), adds_bos=False),
    "llama-3.1": Form(
        "bytes", "<|begin_of_text|>", "<|end_of_text|>", None, LLAMA_JSON, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    ),
    "mistral-v3": Form("bytes", "<s>", "</s>", None, MISTRAL_CALLS, INSTRUCT),
}
"""Chat templates with tools, as Qwen and Hermes, Llama 3.1 and Mistral write calls."""

LATER = "{% set content = m.content.split('</think>')[-1] | trim if '</think>' in m.content else m.content %}"
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    + LATER
    + "{% if loop.last %}<think>\n{{ m.content.split('</think>')[0].split('<think>')[-1] | trim if '</think>' in m.content else '' }}\n"
    "</think>\n\n{% endif %}{{ content }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n" + QUIET + "{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}" + LATER + "<|Assistant|>{{ content }}{{ eos_token }}"
    "{% elif m.role == 'user' %}<|User|>{{ m.content }}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}"
)
KEEPING = template(f"<|im_start|>{ROLE}\n{{{{ m.content }}}}<|im_end|>\n", "<|im_start|>assistant\n")
THINKING_FORMS = {
    "qwen3": Form("bytes", None, "<|im_end|>", "<|endoftext|>", QWEN3, ("<|im_start|>",), adds_bos=False),
    "r1": Form("bytes", "<|begin|>", "<|end|>", "<|end|>", R1, ("<|User|>", "<|Assistant|>"), adds_bos=False),
    "keeping": Form("bytes", None, "<|im_end|>", "<|endoftext|>", KEEPING, ("<|im_start|>",), adds_bos=False),
}
"""Chat templates and thoughts: Qwen3 drops those of earlier answers and has a switch, DeepSeek R1 drops all and opens new ones before an
answer, and one keeps all text as it stands."""

ASKED, SAID = "the cat sees ?", "no maybe"
SHOWN = {
    "llama-2": "<s>[INST] the cat sees ? [/INST] no maybe</s>",
    "mistral": "<s> [INST] the cat sees ? [/INST] no maybe</s>",
    "zephyr": "<|user|>\nthe cat sees ?</s> \n<|assistant|>\nno maybe</s>",
    "gemma": "<bos><start_of_turn>user\nthe cat sees ?<end_of_turn>\n<start_of_turn>model\nno maybe<end_of_turn>",
    "llama-3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nthe cat sees ?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nno maybe<|eot_id|>",
    "phi-3": "<|user|>the cat sees ?<|end|><|assistant|>no maybe<|end|>",
    "phi-4": "<|user|>the cat sees ?<|end|><|assistant|>no maybe<|end|>",
    "chatml": "<|im_start|>user\nthe cat sees ?<|im_end|>\n<|im_start|>assistant\nno maybe<|im_end|>",
    "chatml-prefix": "<|im_start|> user\nthe cat sees ?<|im_end|> \n<|im_start|> assistant\nno maybe<|im_end|>",
    "thinking": "<|im_start|>user\nthe cat sees ?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\nno maybe<|im_end|>",
    "olmo": "<|endoftext|><|user|>\nthe cat sees ?\n<|assistant|>\nno maybe<|endoftext|>",
}
"""ASKED and SAID in each form, decoded from ids; a legacy LlamaTokenizer shows the blank that it puts behind a special token."""


@dataclass(frozen=True)
class Architecture:
    """One row: the `model_type` of the table's rows that it stands for, its config, its chat form and what a LoRA can sit on."""

    kind: str
    config: str
    form: str
    options: dict[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    pair: tuple[str, ...] = ("q_proj", "v_proj")
    layers: int = 2
    sees: bool = False
    """It has a vision tower."""


def rope(**more: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 10000.0} | more


LLAMA3_ROPE = rope(
    rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32
)
LONG_ROPE = rope(
    rope_type="longrope", factor=2.0, partial_rotary_factor=0.75, original_max_position_embeddings=128,
    short_factor=[1.0, 1.1, 1.3, 1.5, 2.0, 2.5], long_factor=[1.0, 2.0, 3.0, 5.0, 8.0, 12.0],
)  # fmt: skip
LOCAL_GLOBAL = {"sliding_attention": rope(), "full_attention": rope(rope_theta=1e6)}
WIDE = {"head_dim": 256, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 4096, "tie_word_embeddings": True}
GEMMA_2 = {"sliding_window": WINDOW, "query_pre_attn_scalar": 64, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 10.0}
GEMMA_3 = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"], "rope_parameters": LOCAL_GLOBAL}
PHI = {"hidden_size": 128, "num_key_value_heads": 4, "vocab_size": 512, "rope_parameters": rope(partial_rotary_factor=0.4)}
PHI_3 = {"rope_parameters": LONG_ROPE, "original_max_position_embeddings": 128}
PARALLEL, FUSED = ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"), ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
TIED = {"tie_word_embeddings": True}

ARCHITECTURES = {
    "llama": Architecture("llama", "LlamaConfig", "llama-2"),
    "llama3": Architecture("llama", "LlamaConfig", "llama-3", TIED | {"rope_parameters": LLAMA3_ROPE}),
    "mistral": Architecture("mistral", "MistralConfig", "zephyr", {"sliding_window": WINDOW}),
    "gemma": Architecture("gemma", "GemmaConfig", "gemma", WIDE),
    "gemma2": Architecture("gemma2", "Gemma2Config", "gemma", WIDE | GEMMA_2),
    "gemma3": Architecture("gemma3_text", "Gemma3TextConfig", "gemma", WIDE | GEMMA_3),
    "gemma3-images": Architecture("gemma3_text", "Gemma3TextConfig", "gemma", WIDE | GEMMA_3, sees=True),
    "phi": Architecture("phi", "PhiConfig", "none", PHI, PARALLEL),
    "phi3": Architecture("phi3", "Phi3Config", "phi-3", PHI_3, FUSED, ("qkv_proj",)),
    "qwen2": Architecture("qwen2", "Qwen2Config", "chatml", TIED),
    "qwen3": Architecture("qwen3", "Qwen3Config", "thinking", TIED | {"head_dim": 64}),
    "smollm3": Architecture("smollm3", "SmolLM3Config", "thinking", TIED | {"num_hidden_layers": 4}, layers=4),
    "olmo2": Architecture("olmo2", "Olmo2Config", "olmo", {"num_key_value_heads": 4}),
}

QUIRKS = [
    ("llama3", {"rope_parameters": rope(rope_theta=500000.0)}, 40),
    ("mistral", {"sliding_window": None}, 40),
    ("gemma2", {"sliding_window": 64}, 40),
    ("gemma2", {"layer_types": ["full_attention", "sliding_attention"]}, 40),
    ("gemma2", {"attn_logit_softcapping": None}, 40),
    ("gemma2", {"final_logit_softcapping": None}, 40),
    ("gemma2", {"query_pre_attn_scalar": 256}, 40),
    ("gemma3", {"sliding_window": 64}, 40),
    ("gemma3", {"rope_parameters": LOCAL_GLOBAL | {"full_attention": rope()}}, 40),
    ("phi", {"rope_parameters": rope(partial_rotary_factor=1.0)}, 40),
    ("phi3", {"rope_parameters": rope(partial_rotary_factor=0.75)}, 40),
    ("phi3", {"rope_parameters": LONG_ROPE | {"long_factor": LONG_ROPE["short_factor"]}}, 140),
    ("smollm3", {"no_rope_layers": [1, 1, 1, 1]}, 40),
]
"""A twin, options of its config without one of its quirks, and how many tokens it takes to see that."""

PARTS = [
    ("qwen2", "q_proj.bias"), ("qwen2", "k_proj.bias"), ("qwen2", "v_proj.bias"), ("phi", "dense.bias"), ("phi", "fc2.bias"),
    ("phi", "lm_head.bias"), ("qwen3", "q_norm.weight"), ("gemma3", "k_norm.weight"), ("gemma", "input_layernorm.weight"),
    ("gemma2", "pre_feedforward_layernorm.weight"), ("olmo2", "q_norm.weight"), ("olmo2", "post_feedforward_layernorm.weight"),
]  # fmt: skip
"""A twin, and parameters that few families have."""

SMALL = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 256, "initializer_range": 0.15, "tie_word_embeddings": False,
}  # fmt: skip


def make(name: str, folder: Path) -> dict[str, Any]:
    """Save the twin of an architecture, with its tokenizer; returns its spec."""
    import torch
    from transformers import AutoModelForCausalLM

    row = ARCHITECTURES[name]
    tokenizer = save_tokenizer(FORMS[row.form], folder)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config_of(row, tokenizer))
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:  # biases and norms begin as zeros and ones, which would hide a lost one
                value.add_(torch.randn_like(value) * 0.3)
    model.save_pretrained(folder)
    return tiny.spec(folder)


def config_of(row: Architecture, tokenizer: Any) -> Any:
    import transformers

    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = getattr(transformers, row.config)(**({"vocab_size": len(tokenizer)} | SMALL | ids | row.options))
    if not row.sees:
        return config
    eyes = transformers.SiglipVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    marks = {"boi_token_index": 4093, "eoi_token_index": 4094, "image_token_index": 4095}
    return transformers.Gemma3Config(text_config=config, vision_config=eyes, mm_tokens_per_image=4, **marks, **ids)


def save_tokenizer(form: Form, folder: Path) -> Any:
    """Write the form's tokenizer as a hub repository holds it; returns it as it was before it was written."""
    tokenizer = tokenizer_of(form)
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"tokenizer_class": form.reader, "legacy": form.legacy}), "utf-8")
    return tokenizer


def tokenizer_of(form: Form) -> Any:
    """A BPE tokenizer of the family, trained on little sentences."""
    from tokenizers import AddedToken, processors
    from transformers import PreTrainedTokenizerFast

    special = list(dict.fromkeys(token for token in (form.pad, form.bos, form.eos, *form.more) if token))
    tokenizer = byte_level(special) if form.family == "bytes" else pieces(special, form.family == "prefix")
    if form.adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{form.bos} $A", special_tokens=[(form.bos, tokenizer.token_to_id(form.bos))]
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=form.bos, eos_token=form.eos, pad_token=form.pad)
    more = [AddedToken(name, special=True, normalized=False, rstrip=form.swallows) for name in form.more]
    fast.add_special_tokens({"additional_special_tokens": more})
    fast.chat_template = form.chat
    return fast


def corpus() -> list[str]:
    return [" ".join(WORDS), *(f"{e.prompt} {e.target}" for e in examples(40))]


def byte_level(special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        corpus(), trainers.BpeTrainer(vocab_size=340, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer


def pieces(special: list[str], prefix: bool) -> Any:
    """As SentencePiece does it: blanks are part of the pieces, unknown characters fall back to bytes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always" if prefix else "never")
    learner.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=120, show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    names = ["<unk>", *special, *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]]
    vocabulary = {name: index for index, name in enumerate(dict.fromkeys(names))}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    blanks = [normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), *blanks] if prefix else blanks)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *([decoders.Strip(" ", 1, 0)] if prefix else [])]
    )
    tokenizer.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in ["<unk>", *special]])
    return tokenizer


def examples(count: int, offset: int = 0) -> list[Example]:
    """Little questions of 3 to 22 words, with answers that can be learned."""
    rows = []
    for n in range(offset, offset + count):
        words = " ".join(WORDS[(n * 7 + k * 3) % 18] for k in range(1 + n * 7 % 20))
        rows.append(Example(f"e{n}", f"the {words} ?", "yes" if n % 2 else "no maybe", ("yes", "no", "maybe")))
    return rows
