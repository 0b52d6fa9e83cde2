"""Writes how a GGUF export is used, for its card: with Ollama, and with llama.cpp from Python"""

import json

from pipeline.export import gguf_back
from pipeline.export.fine_tuned import FineTuned
from pipeline.export.request import Form
from pipeline.models import renderer
from pipeline.page import model_card


def usage(tuned: FineTuned, form: Form, name: str) -> list[str]:
    """Commands and code that load the files and answer."""
    render = renderer.renderer(tuned.spec)
    model, adapter = f"{name}/{gguf_back.model_file(form)}", f"{name}/{gguf_back.adapter_file(form)}"
    lora = "" if form.merge else f", lora_path={model_card.repr_of(adapter)}"
    limit = tuned.trained.answers.facts.get("max_new_tokens", tuned.loading["max_new_tokens"])
    stops = f", stop={json.dumps(tuned.loading['stop'], ensure_ascii=False)}" if tuned.loading["stop"] else ""
    lead = f" without `{render.tokenizer.bos_token}` at its start, which llama.cpp adds" if render.adds_start else ""
    load = f"from llama_cpp import Llama\n\nmodel = Llama({model_card.repr_of(model)}{lora}, n_ctx=0, verbose=False)"
    answer = (
        f"output = model.create_completion(prompt, max_tokens={limit}, temperature=0, repeat_penalty=1{stops})\n"
        'print(output["choices"][0]["text"])'
    )
    base = (
        ""
        if form.merge
        else f" `{gguf_back.model_file(form)}` is the base over which the adapter was trained: its 4-bit weights, dequantized."
    )
    return [
        f"{form.meaning}{base}",
        f"## Use\n\n```sh\nollama create {name} -f {name}/Modelfile\nollama run {name}\n```\n\n```python\n{load}\n```",
        f"The answer (`prompt` is the whole text before the answer{lead}):\n\n```python\n{answer}\n```",
    ]
