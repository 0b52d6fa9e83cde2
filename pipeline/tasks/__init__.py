"""One file per shipped task, found by its name: source, prompt, target, parser, metrics.

Imports `data`, `scoring`, `quickstart` and `store`. Start with `boolq.py`; copy it for a task of your own.
"""
