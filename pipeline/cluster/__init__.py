"""Sends jobs elsewhere: to several devices of this machine, or to the nodes of a Ray cluster over a store that all of them see.

Imports every room below `export`. Start with `place.py`: what a run asks of the place where its jobs run.
"""
