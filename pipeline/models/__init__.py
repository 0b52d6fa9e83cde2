"""Base models: resolve a name, load quantized weights, attach adapters, render prompts as token ids.

Imports `config`, `store` and the modules below them. Start with `base_model.py` (which model), `loading.py` (weights) and
`renderer.py` (token ids).
"""
