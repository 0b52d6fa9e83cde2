"""What runs on the weights: backends, batching, training loss, generation, ranking of choices, timing, training state.

Imports `models`, `store`, `machine` and `progress`. Start with `backend.py`, the interface that stages
use; for training with `batching.py`, then `loss.py`.
"""
