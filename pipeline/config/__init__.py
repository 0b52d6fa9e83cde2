"""The recipe language: every key with its type and default, loading, overrides, and messages for invalid recipes.

Imports `errors` alone. Start with `recipe.py`; `schema.py` lists the keys of each section.
"""
