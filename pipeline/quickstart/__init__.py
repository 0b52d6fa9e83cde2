"""The embedded shop tasks and their 4M-parameter base model, made from code alone.

Imports `data`; `pretrain.py` also loads torch. Start with `corpus.py`.
"""
