"""Reads the data sets that `benchmarks.verdicts` wrote and writes a peer's verdicts on them. It runs on a peer's Python, with numpy alone.

A cell is a file FOLDER/<cell>.npz with `base` (data sets, n), `tuned` (data sets, seeds, n) and `groups` (n,).
"""

import importlib.metadata
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Verdicts = dict[str, list[str]]
"""By tool, a word for each data set: improved, worse, same or inconclusive."""


def decide_cells(peer: str, package: str, decide: Callable[[Array, Array], Verdicts]) -> None:
    """Write FOLDER/<peer>.json: the package's version, and for every cell the verdicts of `decide(base, tuned)`; it resumes."""
    answers = Path(sys.argv[1]) / f"{peer}.json"
    cells = json.loads(answers.read_text("utf-8"))["cells"] if answers.is_file() else {}
    for path in sorted(answers.parent.glob("*.npz")):
        if path.stem not in cells:
            with np.load(path) as arrays:
                cells[path.stem] = decide(arrays["base"].astype(float), arrays["tuned"].astype(float))
            answers.write_text(json.dumps({"package": package, "version": importlib.metadata.version(package), "cells": cells}), "utf-8")
            print(peer, path.stem, flush=True)


def skip_init(*packages: str) -> None:
    """Let modules of installed packages be imported without running the packages' own __init__, which want far more than their tests do."""
    for package in packages:
        if parent := package.rpartition(".")[0]:
            places = [f"{folder}/{package.rpartition('.')[2]}" for folder in sys.modules[parent].__path__]
        else:
            places = [str(Path(folder) / package) for folder in sys.path if (Path(folder) / package).is_dir()]
        module = types.ModuleType(package)
        module.__path__ = places
        sys.modules[package] = module


def by_sign(is_significant: bool, difference: float) -> str:
    if not is_significant:
        return "inconclusive"
    return "improved" if difference > 0 else "worse"
