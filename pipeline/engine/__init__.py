"""What runs on the weights: batching, training loss, generation, ranking of choices, timing, training state.

Imports `store`, `machine` and `progress`; models come in as arguments. Start with `batching.py`, then `loss.py` or
`generation.py`.
"""
