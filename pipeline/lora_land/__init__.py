"""The published LoRA Land results: the table, its headline figures, and agreement with ours.

Imports `machine` and `errors`. Start with `published.py`.
"""
