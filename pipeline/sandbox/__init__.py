"""Runs programs that a model wrote, with limits on time, memory, processes, files and network.

Imports `errors` alone. Start with `sandbox.py`; `child.py` is the process inside, `isolation.py` its walls.
"""
