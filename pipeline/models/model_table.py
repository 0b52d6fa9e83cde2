"""Lists the base models, one row per model: add one here. A row holds everything about it that is not on its disk.

Shapes are of litgpt's configurations (Lightning-AI/litgpt, litgpt/config.py, 2026-06) and of the models' own; a test compares the
parameter counts that follow from them with transformers' classes, and with the counts that the publishers print.
"""

from dataclasses import dataclass

from pipeline.models.shapes import Shape


@dataclass(frozen=True)
class ModelRow:
    """A base model: where its weights are, how it is prompted, what it asks of a user."""

    name: str
    repo: str | None = None
    chat: bool | None = None
    """None: through the chat template if the tokenizer has one."""
    license: str = ""
    gated: bool = False
    """Its page asks for an account, and for a click or a form."""
    shape: Shape | None = None
    paper: str = ""
    """Its name in the LoRA Land report (arXiv 2405.00732), if it is one of the ten."""
    note: str = ""
    """What a user must know before choosing it."""
    folder: str | None = None


LLAMA_2_7B = Shape("llama", 4096, 32, 32, 32, 128, 11008, 32000)
LLAMA_3_8B = Shape("llama", 4096, 32, 32, 8, 128, 14336, 128256)
LLAMA_3_1B = Shape("llama", 2048, 16, 32, 8, 64, 8192, 128256, tied=True)
LLAMA_3_3B = Shape("llama", 3072, 28, 24, 8, 128, 8192, 128256, tied=True)
MISTRAL_7B = Shape("mistral", 4096, 32, 32, 8, 128, 14336, 32000)
MISTRAL_7B_V3 = Shape("mistral", 4096, 32, 32, 8, 128, 14336, 32768)
PHI_2 = Shape("phi", 2560, 32, 32, 32, 80, 10240, 51200)
PHI_35_MINI = Shape("phi3", 3072, 32, 32, 32, 96, 8192, 32064)
PHI_4_MINI = Shape("phi3", 3072, 32, 24, 8, 128, 8192, 200064, tied=True)
GEMMA_2B = Shape("gemma", 2048, 18, 8, 1, 256, 16384, 256000, tied=True)
GEMMA_7B = Shape("gemma", 3072, 28, 16, 16, 256, 24576, 256000, tied=True)
GEMMA_2_2B = Shape("gemma2", 2304, 26, 8, 4, 256, 9216, 256000, tied=True)
GEMMA_2_9B = Shape("gemma2", 3584, 42, 16, 8, 256, 14336, 256000, tied=True)
GEMMA_3_1B = Shape("gemma3_text", 1152, 26, 4, 1, 256, 6912, 262144, tied=True)
GEMMA_3_4B = Shape("gemma3_text", 2560, 34, 8, 4, 256, 10240, 262208, tied=True)
"""Of the text part; the vision tower has 0.4 billion parameters more."""
QWEN2_05B = Shape("qwen2", 896, 24, 14, 2, 64, 4864, 151936, tied=True)
QWEN2_15B = Shape("qwen2", 1536, 28, 12, 2, 128, 8960, 151936, tied=True)
QWEN2_7B = Shape("qwen2", 3584, 28, 28, 4, 128, 18944, 152064)
QWEN3_06B = Shape("qwen3", 1024, 28, 16, 8, 128, 3072, 151936, tied=True)
QWEN3_17B = Shape("qwen3", 2048, 28, 16, 8, 128, 6144, 151936, tied=True)
QWEN3_4B = Shape("qwen3", 2560, 36, 32, 8, 128, 9728, 151936, tied=True)
QWEN3_8B = Shape("qwen3", 4096, 36, 32, 8, 128, 12288, 151936)
SMOLLM2_135M = Shape("llama", 576, 30, 9, 3, 64, 1536, 49152, tied=True)
SMOLLM2_360M = Shape("llama", 960, 32, 15, 5, 64, 2560, 49152, tied=True)
SMOLLM2_17B = Shape("llama", 2048, 24, 32, 32, 64, 8192, 49152, tied=True)
SMOLLM3_3B = Shape("smollm3", 2048, 36, 16, 4, 128, 11008, 128256, tied=True)
OLMO2_1B = Shape("olmo2", 2048, 16, 16, 16, 128, 8192, 100352)
OLMO2_7B = Shape("olmo2", 4096, 32, 32, 32, 128, 11008, 100352)

WINDOW = "sliding-window attention, 4,096 tokens"
POST = "the hub calls it by the plain name and its base -Base; its template has a thinking switch, which is off here"
LOGITS = "a vocabulary of 256k: logits are the peak of memory"
SOFT_CAPS = f"{LOGITS}; soft caps make it attend by the eager kernel, whose memory grows with the square of the length"
FUSED = "q, k and v are one module, so targets qv means qkv_proj; the Python code in its repository is not run"
DATED = "its template writes a date into every prompt, here a fixed one"
WRAPPED = "loads with its vision tower (0.4 billion parameters more), which gets no adapter"

# Gates: those of Meta and Google are part of the licence. Mistral AI put a click in front of its pages in April 2024 (seen in public issues
# until October 2024); whether it still stands was not read.
# fmt: off
ROWS = (
    ModelRow("quickstart-base", chat=False, license="apache-2.0", folder="checkpoints/quickstart-base"),

    ModelRow("llama-2-7b", "meta-llama/Llama-2-7b-hf", False, "llama2", True, LLAMA_2_7B, "llama-2-7b"),
    ModelRow("llama-2-7b-chat", "meta-llama/Llama-2-7b-chat-hf", True, "llama2", True, LLAMA_2_7B, "llama-2-7b-chat"),
    ModelRow("mistral-7b", "mistralai/Mistral-7B-v0.1", False, "apache-2.0", True, MISTRAL_7B, "mistral-7b", WINDOW),
    ModelRow("mistral-7b-instruct", "mistralai/Mistral-7B-Instruct-v0.1", True, "apache-2.0", True, MISTRAL_7B, "mistral-7b-instruct",
             WINDOW),
    ModelRow("zephyr-7b-beta", "HuggingFaceH4/zephyr-7b-beta", True, "mit", False, MISTRAL_7B, "zephyr-7b-beta", WINDOW),
    ModelRow("phi-2", "microsoft/phi-2", False, "mit", False, PHI_2, "phi-2", "a context of 2048 tokens; no chat template"),
    ModelRow("gemma-2b", "google/gemma-2b", False, "gemma", True, GEMMA_2B, "gemma-2b", LOGITS),
    ModelRow("gemma-2b-instruct", "google/gemma-2b-it", True, "gemma", True, GEMMA_2B, "gemma-2b-instruct", LOGITS),
    ModelRow("gemma-7b", "google/gemma-7b", False, "gemma", True, GEMMA_7B, "gemma-7b", LOGITS),
    ModelRow("gemma-7b-instruct", "google/gemma-7b-it", True, "gemma", True, GEMMA_7B, "gemma-7b-instruct", LOGITS),

    ModelRow("llama-3.1-8b", "meta-llama/Llama-3.1-8B", False, "llama3.1", True, LLAMA_3_8B),
    ModelRow("llama-3.1-8b-instruct", "meta-llama/Llama-3.1-8B-Instruct", True, "llama3.1", True, LLAMA_3_8B),
    ModelRow("llama-3.2-1b", "meta-llama/Llama-3.2-1B", False, "llama3.2", True, LLAMA_3_1B),
    ModelRow("llama-3.2-1b-instruct", "meta-llama/Llama-3.2-1B-Instruct", True, "llama3.2", True, LLAMA_3_1B, "", DATED),
    ModelRow("llama-3.2-3b", "meta-llama/Llama-3.2-3B", False, "llama3.2", True, LLAMA_3_3B),
    ModelRow("llama-3.2-3b-instruct", "meta-llama/Llama-3.2-3B-Instruct", True, "llama3.2", True, LLAMA_3_3B, "", DATED),
    ModelRow("mistral-7b-v0.3", "mistralai/Mistral-7B-v0.3", False, "apache-2.0", True, MISTRAL_7B_V3),
    ModelRow("mistral-7b-v0.3-instruct", "mistralai/Mistral-7B-Instruct-v0.3", True, "apache-2.0", True, MISTRAL_7B_V3),

    ModelRow("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B", False, "apache-2.0", False, QWEN2_05B),
    ModelRow("qwen2.5-0.5b-instruct", "Qwen/Qwen2.5-0.5B-Instruct", True, "apache-2.0", False, QWEN2_05B),
    ModelRow("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B", False, "apache-2.0", False, QWEN2_15B),
    ModelRow("qwen2.5-1.5b-instruct", "Qwen/Qwen2.5-1.5B-Instruct", True, "apache-2.0", False, QWEN2_15B),
    ModelRow("qwen2.5-7b", "Qwen/Qwen2.5-7B", False, "apache-2.0", False, QWEN2_7B),
    ModelRow("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct", True, "apache-2.0", False, QWEN2_7B),
    ModelRow("qwen3-0.6b", "Qwen/Qwen3-0.6B-Base", False, "apache-2.0", False, QWEN3_06B),
    ModelRow("qwen3-0.6b-instruct", "Qwen/Qwen3-0.6B", True, "apache-2.0", False, QWEN3_06B, "", POST),
    ModelRow("qwen3-1.7b", "Qwen/Qwen3-1.7B-Base", False, "apache-2.0", False, QWEN3_17B),
    ModelRow("qwen3-1.7b-instruct", "Qwen/Qwen3-1.7B", True, "apache-2.0", False, QWEN3_17B, "", POST),
    ModelRow("qwen3-4b", "Qwen/Qwen3-4B-Base", False, "apache-2.0", False, QWEN3_4B),
    ModelRow("qwen3-4b-instruct", "Qwen/Qwen3-4B", True, "apache-2.0", False, QWEN3_4B, "", POST),
    ModelRow("qwen3-8b", "Qwen/Qwen3-8B-Base", False, "apache-2.0", False, QWEN3_8B),
    ModelRow("qwen3-8b-instruct", "Qwen/Qwen3-8B", True, "apache-2.0", False, QWEN3_8B, "", POST),

    ModelRow("smollm2-135m", "HuggingFaceTB/SmolLM2-135M", False, "apache-2.0", False, SMOLLM2_135M),
    ModelRow("smollm2-135m-instruct", "HuggingFaceTB/SmolLM2-135M-Instruct", True, "apache-2.0", False, SMOLLM2_135M),
    ModelRow("smollm2-360m", "HuggingFaceTB/SmolLM2-360M", False, "apache-2.0", False, SMOLLM2_360M),
    ModelRow("smollm2-360m-instruct", "HuggingFaceTB/SmolLM2-360M-Instruct", True, "apache-2.0", False, SMOLLM2_360M),
    ModelRow("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B", False, "apache-2.0", False, SMOLLM2_17B),
    ModelRow("smollm2-1.7b-instruct", "HuggingFaceTB/SmolLM2-1.7B-Instruct", True, "apache-2.0", False, SMOLLM2_17B),
    ModelRow("smollm3-3b", "HuggingFaceTB/SmolLM3-3B-Base", False, "apache-2.0", False, SMOLLM3_3B),
    ModelRow("smollm3-3b-instruct", "HuggingFaceTB/SmolLM3-3B", True, "apache-2.0", False, SMOLLM3_3B, "", f"{POST}; {DATED}"),

    ModelRow("gemma-2-2b", "google/gemma-2-2b", False, "gemma", True, GEMMA_2_2B, "", SOFT_CAPS),
    ModelRow("gemma-2-2b-instruct", "google/gemma-2-2b-it", True, "gemma", True, GEMMA_2_2B, "", SOFT_CAPS),
    ModelRow("gemma-2-9b", "google/gemma-2-9b", False, "gemma", True, GEMMA_2_9B, "", SOFT_CAPS),
    ModelRow("gemma-2-9b-instruct", "google/gemma-2-9b-it", True, "gemma", True, GEMMA_2_9B, "", SOFT_CAPS),
    ModelRow("gemma-3-1b", "google/gemma-3-1b-pt", False, "gemma", True, GEMMA_3_1B, "", LOGITS),
    ModelRow("gemma-3-1b-instruct", "google/gemma-3-1b-it", True, "gemma", True, GEMMA_3_1B, "", LOGITS),
    ModelRow("gemma-3-4b-instruct", "google/gemma-3-4b-it", True, "gemma", True, GEMMA_3_4B, "", WRAPPED),
    ModelRow("phi-3.5-mini-instruct", "microsoft/Phi-3.5-mini-instruct", True, "mit", False, PHI_35_MINI, "", FUSED),
    ModelRow("phi-4-mini-instruct", "microsoft/Phi-4-mini-instruct", True, "mit", False, PHI_4_MINI, "", FUSED),
    ModelRow("olmo-2-1b", "allenai/OLMo-2-0425-1B", False, "apache-2.0", False, OLMO2_1B),
    ModelRow("olmo-2-1b-instruct", "allenai/OLMo-2-0425-1B-Instruct", True, "apache-2.0", False, OLMO2_1B),
    ModelRow("olmo-2-7b", "allenai/OLMo-2-1124-7B", False, "apache-2.0", False, OLMO2_7B),
    ModelRow("olmo-2-7b-instruct", "allenai/OLMo-2-1124-7B-Instruct", True, "apache-2.0", False, OLMO2_7B),
)
# fmt: on
