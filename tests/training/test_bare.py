"""Training on a machine that has PyTorch and little else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from napari_semnet.model import load_model
from napari_semnet.training.sections import Source
from napari_semnet.training.store import open_store
from tests.training.processes import environment, write
from tests.training.runs import small_config, write_scenes

MISSING = """
import sys

class Missing:
    names = {names}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from napari_semnet.cli import main

sys.exit(main({arguments}))
"""

OPTIONAL = {
    *("scipy", "skimage", "tifffile", "PIL", "imagecodecs", "lightning_fabric", "rich"),
    *("tensorboard", "platformdirs", "psutil", "napari", "qtpy", "magicgui"),
}


def test_prepared_pictures_can_be_trained_on_without_the_packages_that_read_them(
    tmp_path: Path,
) -> None:
    pictures = write_scenes(tmp_path / "pictures")
    open_store(Source.model_validate({"images": pictures}), tmp_path / "store")
    (prepared,) = (tmp_path / "store").iterdir()
    config = small_config(
        tmp_path, steps=2, data=[{"images": str(prepared)}], model={"name": "bare"}
    )
    arguments = ["train", str(write(config, tmp_path / "run.toml"))]
    done = subprocess.run(
        [sys.executable, "-c", MISSING.format(names=OPTIONAL, arguments=arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Progress is not measured, as a package is missing" in done.stdout
    assert load_model(tmp_path / "run" / "bare.safetensors").card.training.steps == 2
