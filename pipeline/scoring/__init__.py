"""From model text to scores and verdicts: answer parsers, per-example scores, paired statistics.

Imports `metrics`, `store` and `errors`. Start with `scoring.py`; the statistics are in `stats.py`, the words in `verdict.py`.
"""
