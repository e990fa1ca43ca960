"""Importing the package must cost nothing: checked in interpreters of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "qtpy", "PyQt6", "PySide6", "napari", "magicgui", "superqt", "vispy")

QUESTION = """
import importlib, sys
importlib.import_module({module!r})
print(*sorted({heavy!r} & {{name.split(".")[0] for name in sys.modules}}))
"""


def heavy_after_importing(module: str, heavy: tuple[str, ...]) -> list[str]:
    answer = subprocess.run(
        [sys.executable, "-c", QUESTION.format(module=module, heavy=set(heavy))],
        check=True,
        capture_output=True,
        text=True,
    )
    return answer.stdout.split()


@pytest.mark.parametrize("module", ["napari_semnet", "napari_semnet.cli"])
def test_importing_loads_neither_torch_nor_qt_nor_napari(module: str) -> None:
    assert heavy_after_importing(module, HEAVY) == []


@pytest.mark.parametrize(
    "module",
    [
        "napari_semnet.imaging.geometry",
        "napari_semnet.widgets.choices",
        "napari_semnet.widgets.jobs",
        "napari_semnet.widgets.samples",
    ],
)
def test_what_needs_no_window_loads_without_one(module: str) -> None:
    assert heavy_after_importing(module, HEAVY) == []


def test_opening_a_widget_does_not_wait_for_torch() -> None:
    pytest.importorskip("napari")
    assert heavy_after_importing("napari_semnet.widgets.restore", ("torch",)) == []


def test_loading_a_model_leaves_out_the_compiler_of_pytorch_which_takes_a_second() -> None:
    loading = (
        "import sys; from napari_semnet.model import load_model; load_model('semnet-x2'); "
        "print('torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", loading], check=True, capture_output=True, text=True
    )
    assert said.stdout.split() == ["True", "False"]


def test_the_question_would_notice_torch() -> None:
    assert heavy_after_importing("napari_semnet.network", HEAVY) == ["torch"]
