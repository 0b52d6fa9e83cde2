"""Serves with vLLM in place of our own server: checks what it needs, writes the base that it loads, and starts it"""

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.commands import serve
from pipeline.commands.serve_options import MAX_BATCH_TOKENS, QUEUE, ServeOptions
from pipeline.commands.serve_scratch import scratch
from pipeline.errors import MachineError, RecipeError
from pipeline.export import base_checkpoint
from pipeline.models.renderer import Renderer
from pipeline.progress import say
from pipeline.serving import vllm_command, vllm_process
from pipeline.serving.example_sets import ExampleSet
from pipeline.serving.prompting import Prompting
from pipeline.serving.server import Address, ServedModels
from pipeline.serving.vllm_command import Listening, VllmFiles

KEY_OF_VLLM = "VLLM_API_KEY"
EXAMPLES = 64
"""Test examples of a set whose prompts are compared, at most."""


def check(options: ServeOptions) -> str:
    """The command `vllm`, where this machine and the options allow it.

    Raises:
        RecipeError: an option is for our own server alone.
        MachineError: there is no CUDA device, or no vLLM.
    """
    for name, value, default in (("--queue", options.queue, QUEUE), ("--max-batch-tokens", options.max_batch_tokens, MAX_BATCH_TOKENS)):
        if value != default:
            raise RecipeError(f"{name} {value} is for our own server; vLLM has a queue and batches of its own.", "Leave it out.")
    if serve.torch_device(options).type != "cuda":
        raise MachineError("--engine vllm needs a CUDA device, and there is none here", "Leave out --engine vllm.")
    more_options(options)
    return vllm_process.find()


def more_options(options: ServeOptions) -> list[str]:
    """The further options of vLLM. Raises RecipeError where they are none."""
    try:
        words = shlex.split(options.vllm_options)
    except ValueError as error:
        raise RecipeError(f"--vllm-options {options.vllm_options}: {error}.", "Close the quotation marks.") from None
    if words and not words[0].startswith("--"):
        raise RecipeError(f"--vllm-options {options.vllm_options}: {words[0]} is no option.", "Write '--max-model-len 8192'.")
    return words


def run(models: ServedModels, executable: str, options: ServeOptions, device: Any) -> None:
    """Serve until a signal comes.

    Args:
        executable: from check().
        device: torch.device.

    Raises:
        ModelError: vLLM does not serve one of the models.
        MachineError: the port is in use, the disk has no room, or vLLM ended by itself.
    """
    vllm_command.check(models)
    address = options.address
    port = free_port(address)
    with scratch() as folder:
        settings = folder / "base"
        settings.mkdir()
        say("writing the base for vLLM" if models.params["quantization"] == "none" else "writing the dequantized base for vLLM")
        weights = base_checkpoint.write(dict(models.params), settings, device)
        render = Prompting(models.params["model"], models.thinkers).of(next(iter(models.adapters), models.base), None)
        files = VllmFiles(weights, settings, folder / "chat_template.jinja")
        template = vllm_command.chat_template(render)
        files.template.write_text(template, "utf-8")
        warn_of_prompts(render, template, models.page.sets)
        listening = Listening(options.host, port, options.max_adapters, more_options(options))
        command = [executable, *vllm_command.arguments(models, files, listening)]
        vllm_process.serve(command, environment(address, device, os.environ), local_url(address, port), serve.announce(options))


def free_port(address: Address) -> int:
    """The port to listen on. Raises MachineError if it is in use, before the base is written."""
    with address.socket() as bound:
        return int(bound.getsockname()[1])


def local_url(address: Address, port: int) -> str:
    """Where this machine reaches the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def environment(address: Address, device: Any, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of vLLM: the key, which others could read in a command line, and the one device that is meant."""
    changed = {name: value for name, value in environ.items() if name != KEY_OF_VLLM}
    if address.api_key:
        changed[KEY_OF_VLLM] = address.api_key
    if device.index is not None:
        visible = environ.get("CUDA_VISIBLE_DEVICES", "")
        changed["CUDA_VISIBLE_DEVICES"] = visible.split(",")[device.index] if visible else str(device.index)
    return changed


def warn_of_prompts(render: Renderer, template: str, sets: Sequence[ExampleSet]) -> None:
    """Say how many test prompts vLLM reads as other tokens than those that were compared, such as those that spell control tokens."""
    for examples in sets:
        rows = examples.examples[:EXAMPLES]
        if examples.thinks != render.thinking:
            continue
        messages = [examples.request(index)["messages"] for index in range(len(rows))]
        read = [vllm_command.prompt_ids(render, template, turns) for turns in messages]
        other = sum(ids != render.prompt_ids(example.prompt) for ids, example in zip(read, rows, strict=True))
        if other:
            say(f"{examples.task}: vLLM reads {other} of {len(rows)} test prompts as other tokens than those that were compared")
