"""Serves a base and its adapters over HTTP, as OpenAI's API has it: rows of different adapters share a batch, and join it between steps.

Imports `engine`, `models`, `store`, `sandbox`, `progress` and `errors`. Start with `scheduler.py`, the thread that owns the weights; then
`batch.py` (one decoding step), `joined_adapters.py` (what many adapters add to it), `app.py` (the routes) and `server.py` (the process).
The packages of the extra `serve` load late. `vllm_command.py` and `vllm_process.py` start vLLM in its place.
"""
