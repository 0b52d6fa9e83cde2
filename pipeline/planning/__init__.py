"""From a recipe to jobs: what each task needs at each point of a sweep, shared where it is the same.

Imports config, data, models and store, and the list of arms. Start with `plan.py`.
"""
