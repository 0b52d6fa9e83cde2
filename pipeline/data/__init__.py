"""From a source of rows to examples: tasks, files and hub splits, templates, overlap with the held-out set, few-shot prompts.

Imports `models` (to count tokens), `scoring` (parsers) and the rooms below them. Start with `task.py`, then `source.py` and
`make_examples.py`.
"""
