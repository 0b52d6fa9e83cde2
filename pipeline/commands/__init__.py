"""What the verbs of the command line print and check: plan, estimates, power, preflight, doctor, gate, verify.

Imports every room but `cli`. Start with `views.py`.
"""
