"""Puts the files that ship beside the package into the wheel, as pipeline/shipped/. All else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
SHIPPED = ("recipes/**/*.yaml", "checkpoints/quickstart-base/*", "data/published/*", "data/general/*")


class BuildWithShippedFiles(build_py):
    """An editable install reads them where they are (pipeline/resources.py)."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for source in shipped_files():
                target = Path(self.build_lib, "pipeline", "shipped", source)
                self.mkpath(str(target.parent))
                self.copy_file(str(HERE / source), str(target))


def shipped_files():
    """Their paths in the source tree."""
    return [path.relative_to(HERE) for pattern in SHIPPED for path in sorted(HERE.glob(pattern)) if path.is_file()]


setup(cmdclass={"build_py": BuildWithShippedFiles})
