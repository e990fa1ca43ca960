"""Processes that are killed, really and without a warning: what there is, is whole; the rest is
done when it is asked for again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_semnet.cli import main
from napari_semnet.files.atomic import remove_leftovers, replacing, work_folder
from napari_semnet.files.reader import read_image
from napari_semnet.model import model_paths
from napari_semnet.training.config import TrainingConfig
from napari_semnet.training.run_folder import RunFolder
from tests.faults.conftest import is_one_sentence, same_pixels, write_picture
from tests.training.processes import command, environment, write
from tests.training.runs import small_config

needs_sigkill = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


STUCK = """
import sys, time
from pathlib import Path
from napari_semnet.cli import main

replace = Path.replace

def stuck(self, target):
    if Path(target).name.startswith("1_"):
        print('{"event": "stuck"}', flush=True)
        time.sleep(600)
    return replace(self, target)

Path.replace = stuck
sys.exit(main(sys.argv[1:]))
"""
"""The command line, which does not get to give the second picture its name."""


@needs_sigkill
def test_a_batch_that_is_killed_leaves_whole_results_and_is_completed_by_the_same_command(
    tmp_path: Path, engine: list[str]
) -> None:
    for number in range(3):
        write_picture(tmp_path / "in" / f"{number}.tif", number, (64, 64))
    arguments = ["restore", str(tmp_path / "in"), *engine, "--tile", "16", "-o"]
    assert main([*arguments, str(tmp_path / "whole"), "--quiet"]) == 0
    out = tmp_path / "out"
    program = [sys.executable, "-c", STUCK, *arguments, str(out), "--json"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert any(json.loads(line)["event"] == "stuck" for line in child.stdout)
        child.send_signal(signal.SIGKILL)
        assert child.wait(60) == -signal.SIGKILL
    results = sorted(out.glob("[!.]*.tif"))
    assert [path.name for path in results] == ["0_semnet-x2.ome.tif"]
    assert list(out.glob(".writing-*.tif"))
    for path in results:
        assert same_pixels(path, tmp_path / "whole" / path.name)
        assert read_image(path).provenance is not None
        assert path.with_name(path.name.replace(".ome.tif", ".semnet.json")).is_file()
    assert main([*arguments, str(out), "--quiet"]) == 0
    for path in (tmp_path / "whole").glob("*.tif"):
        assert same_pixels(path, out / path.name)


def test_what_was_half_written_is_neither_a_model_nor_a_picture_to_restore(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("napari_semnet.model.user_models_folder", lambda: tmp_path)
    (tmp_path / ".writing-abc-mine.safetensors").write_bytes(b"half")
    assert all("mine" not in name for name in model_paths())
    write_picture(tmp_path / "a.tif")
    (tmp_path / ".writing-abc-a_semnet-x2.ome.tif").write_bytes(b"II*\0half")
    assert main(["restore", str(tmp_path), "-o", str(tmp_path), "--quiet", *engine]) == 0
    assert capfd.readouterr().err == ""


def test_leftovers_are_cleared_away_after_a_day_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    import os
    import time

    old, new = tmp_path / ".writing-old-a.tif", tmp_path / ".writing-new-a.tif"
    for path in (old, new):
        path.write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    (tmp_path / ".writing-folder").mkdir()
    with replacing(tmp_path / "b.tif") as temporary:
        temporary.write_bytes(b"whole")
        assert new.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".writing-folder",
        ".writing-new-a.tif",
        "b.tif",
    ]
    remove_leftovers(tmp_path / "not there")


@needs_sigkill
def test_what_a_killed_process_left_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    """But not what another process is writing at this moment, nor an older picture."""
    writing = (
        "import sys, time\n"
        "from contextlib import ExitStack\n"
        "from pathlib import Path\n"
        "from napari_semnet.files.atomic import replacing, work_folder\n"
        "with ExitStack() as stack:\n"
        "    stack.enter_context(replacing(Path('a.tif')))\n"
        "    (stack.enter_context(work_folder(Path())) / 'half').touch()\n"
        "    (stack.enter_context(work_folder(Path(), '.preparing-')) / 'half').touch()\n"
        "    (stack.enter_context(work_folder(Path())) / 'old').touch()\n"
        "    print(flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", writing], cwd=tmp_path, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        before = {path.name for path in tmp_path.iterdir()}
        assert len(before) == 4
        with replacing(tmp_path / "b.tif"), work_folder(tmp_path, ".preparing-"):
            assert before <= {path.name for path in tmp_path.iterdir()}
    finally:
        process.kill()
        process.communicate()
    with replacing(tmp_path / "b.tif"), work_folder(tmp_path, ".preparing-"):
        pass
    left = [path for path in tmp_path.iterdir() if path.name != "b.tif"]
    assert [path.name for folder in left for path in folder.iterdir()] == ["old"]


@needs_sigkill
def test_a_process_that_loses_its_partner_ends_in_a_sentence(tmp_path: Path) -> None:
    import psutil

    config = distributed(tmp_path)
    path = write(config, tmp_path / "run.toml")
    with subprocess.Popen(
        [*command(path), "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stderr is not None
        for line in first.stdout:
            if line.startswith("{") and json.loads(line)["event"] == "checkpointed":
                break
        (second,) = [p for p in psutil.Process(first.pid).children() if "python" in p.name()]
        second.kill()
        try:
            assert first.wait(60) == 1
        finally:
            first.kill()
        said = first.stderr.read()
    assert "Traceback" not in said, said
    assert "Another process of this run has ended" in said
    assert is_one_sentence(next(line for line in said.splitlines() if "Another" in line))
    assert RunFolder(tmp_path / "run").last.is_file()


def distributed(tmp_path: Path) -> TrainingConfig:
    return small_config(
        tmp_path,
        steps=100_000,
        hardware={"device": "cpu", "precision": "fp32", "devices": 2},
        intervals={"log": 100, "evaluate": 100_000, "preview": 100_000, "checkpoint": 20},
    )
