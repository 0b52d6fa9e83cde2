"""Derived figures of a comparison: decomposition of the lift, other tasks, cost, hallucination, claims and advice.

Imports `data`, `scoring` and `store`; makes no HTML. Start with `decompose.py` and `claims.py`.
"""
