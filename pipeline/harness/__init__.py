"""Tasks of lm-evaluation-harness: definitions, documents, prompts and scores come from its own library, loaded where a recipe uses it.

Imports errors and config. Start with `definition.py`; `library.py` finds a task by its name, `documents.py` makes its requests, and
`scores.py` scores answers.
"""
