"""Put a model that a run made among the user's own models."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

from napari_semnet.errors import TrainingError
from napari_semnet.files.atomic import replacing

__all__ = ["discard_run", "keep_model"]


def keep_model(model: Path) -> str:
    """Copy a model into the user's models folder, where every list of models finds it.

    Parameters
    ----------
    model : Path
        File that a run made.

    Returns
    -------
    str
        Name of the model, as commands and lists take it; with a number where another model has
        the name already.

    Raises
    ------
    TrainingError
        The file is gone, or the folder cannot be written to.
    """
    from napari_semnet.model import SUFFIX, model_paths, user_models_folder

    known = model_paths()
    names = [model.stem, *(f"{model.stem}-{number}" for number in range(2, len(known) + 3))]
    try:
        for name in names:
            if name not in known:
                with replacing(user_models_folder() / f"{name}{SUFFIX}") as temporary:
                    shutil.copyfile(model, temporary)
                return name
            if filecmp.cmp(known[name], model, shallow=False):
                return name
    except OSError as error:
        raise TrainingError(
            f"{model.name} could not be copied to {user_models_folder()}: "
            f"{error.strerror or error}. Free some space; the model stays in the run's folder."
        ) from error
    raise AssertionError("one of the names is free")


def discard_run(folder: Path) -> None:
    """Delete a run's folder and all that is in it.

    Raises
    ------
    TrainingError
        It is no run's folder, or cannot be deleted.
    """
    from napari_semnet.training.run_folder import RunFolder

    if not RunFolder(folder).config.is_file():
        raise TrainingError(f"{folder} is not the folder of a run, so it is left alone.")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise TrainingError(
            f"{folder} could not be deleted whole: {error.strerror or error}. Delete it by hand."
        ) from error
