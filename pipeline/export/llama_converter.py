"""Runs llama.cpp's own converters to GGUF, where they are installed"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.errors import ModelError

FOLDER = "LLAMA_CPP"
"""The environment variable that names a folder of llama.cpp."""
MODEL, ADAPTER = "convert_hf_to_gguf.py", "convert_lora_to_gguf.py"


def find(script: str) -> Path | None:
    """The path of a converter: in the folder that LLAMA_CPP names, else on PATH; None: there is none.

    Raises:
        ModelError: LLAMA_CPP names a folder without it.
    """
    if folder := os.environ.get(FOLDER):
        path = Path(folder) / script
        if not path.is_file():
            raise ModelError(f"{FOLDER}={folder}: there is no {script} in it", "Name a folder of llama.cpp, or unset the variable.")
        return path
    script_path = shutil.which(script)
    return Path(script_path) if script_path else None


def convert(script: Path, source: Path, out: Path, file_type: str, base: Path | None = None) -> None:
    """Convert a folder of safetensors, or an adapter's, to a GGUF file.

    Args:
        file_type: F16 or Q8_0.
        base: of an adapter, the folder with its base's config.json.

    Raises:
        ModelError: it fails.
    """
    words = [sys.executable, str(script), str(source), "--outfile", str(out), "--outtype", file_type.lower()]
    words += ["--base", str(base)] if base else []
    ran = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    if ran.returncode == 0 and out.is_file():
        return
    last = next((line for line in reversed(ran.stderr.splitlines()) if line.strip()), f"exit code {ran.returncode}")
    raise ModelError(f"{script.name} fails: {last.strip()[:300]}", "Update llama.cpp, or export with --form merged.")
