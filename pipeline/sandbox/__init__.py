"""Runs programs that a model wrote, with limits on time, memory, processes, files and network.

Imports `errors` alone. Start with `sandbox.py`; `child.py` is the keeper inside, `program.py` and `tester.py` are the
processes of a program and of its tests, `isolation.py` has the walls.
"""
