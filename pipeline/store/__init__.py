"""Sealed folders of results: keys, digests, manifests, the rows inside them, and logs that survive a kill.

Imports `errors` alone. Start with `artifact.py`.
"""
