"""Silences warnings of libraries that need no action from the user, each matched by its exact text."""

import logging
import warnings


def silence_warnings() -> None:
    """Silence these warnings; call it before a base or an adapter is loaded."""
    from transformers import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers.modeling_utils").addFilter(no_load_report)
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # "Failed to load CPU gemm_4bit_forward": harmless
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)  # raised by peft
    warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False but the target module is `Conv1D`")  # peft sets it right
    warnings.filterwarnings("ignore", message="lora with eva initialization used with low_cpu_mem_usage=False")  # matrices of A are small
    warnings.filterwarnings("ignore", message="Model (has|with) `tie_word_embeddings=True` and ")  # untied before a merge


def no_load_report(record: logging.LogRecord) -> bool:
    """Leaves out the library's table of tensors that do not fit: loading refuses them with a line of its own."""
    return "LOAD REPORT" not in str(record.msg)
