"""Repairs generated programs with the tests that their prompts show: run, trace, verdicts of a model, a new program, again.

After LDB: Zhong, Wang and Shang 2024, Debug like a Human, Findings of ACL, pp. 851-870. A tool that works at inference on any model, so
its scores stand apart from those of a fine-tune. Imports what stands below scores and tasks: `sandbox`, `metrics`, `scoring`, `store`.
Start with `loop.py`.
"""
