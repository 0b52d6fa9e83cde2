"""Silences warnings of libraries that need no action from the user, each matched by its exact text."""

import logging
import warnings


def hush() -> None:
    """Call before a base or an adapter is loaded."""
    from transformers import logging as chatter

    chatter.disable_progress_bar()
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # "Failed to load CPU gemm_4bit_forward": harmless
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)  # raised by peft
