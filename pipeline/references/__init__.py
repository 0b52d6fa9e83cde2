"""Models behind OpenAI-compatible endpoints that answer the same held-out prompts.

Imports `store`, `progress` and `errors`. Start with `endpoint.py`; `ask.py` sends and retries requests.
"""
