"""One file per stage of the pipeline; a stage reads sealed folders and writes one.

Imports every room below it, and no other stage. Start with `finetune.py`: `train()` is the training loop, top to bottom.
"""
