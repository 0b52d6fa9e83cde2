"""Exports an adapter, or a model with it merged in, as a folder for other programs, loaded back and measured before it is left there.

Imports every room below the commands. Start with `exporting.py`.
"""
