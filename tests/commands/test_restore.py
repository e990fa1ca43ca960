from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_semnet.cli import main
from napari_semnet.commands.batch import restore_files
from napari_semnet.commands.events import BatchEnded
from napari_semnet.commands.jobs import FileFailed, Job
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.provenance import read_sidecar, sha256_of, sidecar_path
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.restoration import choice
from napari_semnet.restoration.events import TileDone
from napari_semnet.restoration.restorer import Restorer, Settings
from tests.files.making import specimen


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "gold.tif"
    write_tiff(path, acquire(particles((24, 32), 1), seed=2), pixel_size_nm=(3.0, 3.0))
    sidecar_path(path).unlink(missing_ok=True)
    return path


@pytest.fixture
def engine(tiny_model: Path) -> list[str]:
    return ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]


def test_a_result_has_the_engines_pixels_and_half_the_pixel_size(
    picture: Path, tmp_path: Path, tiny_model: Path, engine: list[str]
) -> None:
    assert main(["restore", str(picture), "-o", str(tmp_path / "out"), *engine]) == 0
    result = read_image(tmp_path / "out" / "gold_semnet-x2.ome.tif")
    settings = Settings(device="cpu", precision="fp32")
    expected = Restorer(tiny_model, settings).restore(read_image(picture).pixels).pixels
    np.testing.assert_array_equal(np.asarray(result.pixels), expected)
    assert result.pixel_size is not None
    assert (result.pixel_size.y_nm, result.pixel_size.x_nm) == pytest.approx((1.5, 1.5))


def test_a_result_says_how_it_was_made(picture: Path, tmp_path: Path, engine: list[str]) -> None:
    target = tmp_path / "restored.tif"
    main(["restore", str(picture), "-o", str(target), *engine, "--halo", "exact", "--tile", "16"])
    record = read_sidecar(sidecar_path(target))
    assert record.model == "tiny"
    assert record.source == "gold.tif"
    assert record.source_sha256 == sha256_of(picture)
    assert record.source_pixel_size_nm == pytest.approx((3.0, 3.0))
    assert record.pixel_size_nm == pytest.approx((1.5, 1.5))
    assert record.tile == (16, 16)
    assert record.parameters["halo"] == "exact"
    assert record.intensity_range == (0.0, 255.0)


def test_the_image_itself_is_left_alone(picture: Path, tmp_path: Path, engine: list[str]) -> None:
    before = sha256_of(picture)
    main(["restore", str(picture), "-o", str(tmp_path), "--overwrite", *engine])
    assert sha256_of(picture) == before


def test_it_is_said_why_the_first_picture_on_a_computer_waits_and_only_then(
    picture: Path,
    tmp_path: Path,
    engine: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"_LEAST_OPERATIONS": 0, "_HEIGHT": 8, "_FINE_HEIGHT": 8}.items():
        monkeypatch.setattr(choice, name, value)
    monkeypatch.setattr(choice, "_FINE", (100, 384))
    monkeypatch.setattr(choice, "cache_file", lambda: tmp_path / "speeds.json")
    command = ["restore", str(picture), "-o", str(tmp_path / "out"), "--overwrite", *engine]
    for said in (1, 0):
        assert main(command) == 0
        assert capsys.readouterr().err.count("measured what computes fastest") == said


def test_one_bad_file_is_reported_and_the_rest_restored(
    picture: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "a-bad.tif"
    bad.write_bytes(b"II*\0 and then nothing of use")
    status = main(["restore", str(bad), str(picture), "-o", str(tmp_path / "out"), *engine])
    assert status == 1
    assert "a-bad.tif FAILED" in capsys.readouterr().err
    results = [path.name for path in (tmp_path / "out").glob("*.tif")]
    assert results == ["gold_semnet-x2.ome.tif"]


def test_existing_results_are_skipped_unless_overwritten(
    picture: Path, tmp_path: Path, engine: list[str]
) -> None:
    target = tmp_path / "restored.tif"
    target.write_text("from an earlier day")
    command = ["restore", str(picture), "-o", str(target), *engine]
    assert main(command) == 0
    assert target.read_text() == "from an earlier day"
    assert main([*command, "--overwrite"]) == 0
    assert read_image(target).pixels.shape == (48, 64)


def test_a_result_is_not_replaced_by_one_whose_name_differs_in_case_alone(
    picture: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk for which the two names are one, as of macOS and many a shared one."""
    monkeypatch.setattr("napari_semnet.commands.batch.same_file", lambda one, other: True)
    names = ("Grains.ome.tif", "grains.ome.tif", "other.ome.tif")
    jobs = [Job(picture, tmp_path / name) for name in names]
    engine = Restorer(tiny_model, Settings(device="cpu", precision="fp32"))
    events = list(restore_files(jobs, lambda: engine))
    (failed,) = (event for event in events if isinstance(event, FileFailed))
    assert "grains.ome.tif is already the result of" in failed.reason
    assert not (tmp_path / "grains.ome.tif").exists()
    assert events[-1] == BatchEnded(2, 0, 1)


def test_quiet_says_only_what_failed(
    picture: Path, tmp_path: Path, engine: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["restore", str(picture), "-o", str(tmp_path / "out"), "--quiet", *engine]
    assert main(command) == 0
    assert capfd.readouterr() == ("", "")
    assert main(["restore", "nothing.tif", "-o", str(tmp_path / "out"), "--quiet"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "nothing.tif: There is no such file or folder.\n"


def test_json_tells_every_event_in_order(
    picture: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "restored.tif"
    inputs = [str(picture), "nothing.tif"]
    tiles = ["--tile", "16", "--halo", "2"]
    status = main(["restore", *inputs, "-o", str(target), "--json", *tiles, *engine])
    assert status == 1
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    fractions = [event["fraction"] for event in said if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    events = [event for event in said if event["event"] != "progress"]
    names = [event["event"] for event in events]
    assert names == [
        "file_began",
        "started",
        *["tile_done"] * 4,
        "finished",
        "file_written",
        "file_failed",
        "batch_ended",
    ]
    started, first = events[1], events[2]
    assert started["output_shape"] == [48, 64]
    assert started["dtype"] == "uint8"
    assert started["plan"]["model_name"] == "tiny"
    assert (first["done"], first["total"]) == (1, 4)
    assert first["where"] == [[0, 24], [0, 32]]
    assert events[-1] == {"event": "batch_ended", "written": 1, "skipped": 0, "failed": 1}


def test_progress_names_the_result_with_size_and_pixel_size(
    picture: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["restore", str(picture), "-o", str(tmp_path / "r.tif"), *engine])
    shown = capsys.readouterr().err
    assert f"{picture} -> {tmp_path / 'r.tif'} (64 x 48 px, 1.5 nm/px" in shown
    assert "1 restored, 0 skipped, 0 failed" in shown


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are always text")
@pytest.mark.parametrize("telling", ["--json", "--quiet", None])
def test_a_name_in_another_encoding_ends_nothing(
    picture: Path, tmp_path: Path, engine: list[str], telling: str | None
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9 \xc2\xb5.tif")
    picture.rename(odd)
    command = [sys.executable, "-m", "napari_semnet", "restore", str(odd), *engine]
    command += ["-o", str(tmp_path / "out"), *([telling] if telling else [])]
    answer = subprocess.run(
        command, capture_output=True, check=False, env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    assert answer.returncode == 0, answer.stderr
    (result,) = (tmp_path / "out").glob("*.tif")
    assert read_sidecar(sidecar_path(result)).source == "caf\\udce9 µ.tif"


def test_stacks_and_wide_integers_keep_type_and_slices(tmp_path: Path, engine: list[str]) -> None:
    stack = np.stack([acquire(particles((20, 16), n), seed=n) for n in range(3)])
    path = tmp_path / "stack.tif"
    write_tiff(path, stack.astype(np.uint16) * 200, pixel_size_nm=None, axes="ZYX")
    assert main(["restore", str(path), "-o", str(tmp_path / "r.tif"), *engine]) == 0
    result = read_image(tmp_path / "r.tif")
    assert result.pixels.shape == (3, 40, 32)
    assert result.pixels.dtype == np.uint16
    assert result.pixel_size is None


def test_the_databar_is_left_out_and_the_vendors_calibration_halved(
    shared: Path, tmp_path: Path, engine: list[str]
) -> None:
    source = read_image(shared / "vendor-samples" / "FEI-Helios-Ebeam-8bits.tif")
    assert source.specimen_rows is not None
    assert source.pixel_size is not None
    target = tmp_path / "r.tif"
    assert main(["restore", str(source.path), "-o", str(target), *engine]) == 0
    result = read_image(target)
    rows = source.specimen_rows[1] - source.specimen_rows[0]
    assert rows < source.pixels.shape[0]
    assert result.pixels.shape == (2 * rows, 2 * source.pixels.shape[1])
    assert result.pixel_size is not None
    assert result.pixel_size.x_nm == pytest.approx(source.pixel_size.x_nm / 2)


@pytest.fixture
def unclear(tmp_path: Path) -> Path:
    """A picture whose databar is not certain: it has no text."""
    pixels = np.vstack([specimen((60, 64)), np.zeros((24, 64), np.uint8)])
    path = write_tiff(tmp_path / "unclear.tif", pixels, pixel_size_nm=(4, 4))
    assert read_image(path).specimen_rows_from == "uncertain"
    return path


def test_given_rows_are_restored_and_land_over_the_specimen(
    unclear: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "r.tif"
    assert main(["restore", str(unclear), "-o", str(target), "--rows", "4-59", *engine]) == 0
    result = read_image(target)
    assert result.pixels.shape == (112, 128)
    assert result.provenance is not None
    assert result.provenance.specimen_rows == (4, 60)
    # A quarter pixel up and left of the centre of the first row that was restored.
    assert result.origin_nm == pytest.approx((4 * 4 - 1, -1))
    again = ["restore", "--from", str(sidecar_path(target)), "-o", str(tmp_path / "again.tif")]
    assert main([*again, *engine[:2]]) == 0
    assert np.array_equal(read_image(tmp_path / "again.tif").pixels, result.pixels)


def test_a_repeated_run_is_no_volume(
    picture: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    target, wrong = tmp_path / "r.tif", tmp_path / "again.zarr"
    assert main(["restore", str(picture), "-o", str(target), *engine]) == 0
    assert main(["restore", "--from", str(sidecar_path(target)), "-o", str(wrong)]) == 1
    assert "A repeated run is written as TIFF" in capsys.readouterr().err
    assert not wrong.exists()


def test_a_time_to_settle_without_watching_is_a_wrong_command_line(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["restore", str(picture), "-o", str(tmp_path / "out"), "--settle", "5"])
    assert "add --watch" in capsys.readouterr().err


def test_a_stack_that_was_restored_as_a_layer_in_another_order_of_axes_is_repeated(
    tmp_path: Path, engine: list[str]
) -> None:
    source, target = tmp_path / "s.ome.tif", tmp_path / "r.ome.tif"
    stack = np.stack(
        [np.stack([specimen((32, 40)) // (2 + z + c) for c in (0, 1)]) for z in range(3)]
    )
    write_tiff(source, stack, pixel_size_nm=None, axes="ZCYX")
    assert main(["restore", str(source), "-o", str(target), *engine]) == 0
    record = json.loads(sidecar_path(target).read_text())
    assert record["source_shape"] == [3, 2, 32, 40]
    again = ["restore", "--from", str(sidecar_path(target)), *engine[:2], "-o"]
    for shape, status in (([2, 3, 32, 40], 0), ([2, 4, 32, 40], 1)):
        sidecar_path(target).write_text(json.dumps(record | {"source_shape": shape}))
        assert main([*again, str(tmp_path / f"again-{shape[1]}.tif")]) == status


def test_what_no_tiff_can_hold_is_refused_before_anything_is_computed(
    tmp_path: Path, tiny_model: Path
) -> None:
    stack = np.stack([specimen((32, 40), n) for n in range(2)]).astype(np.float16)
    write_ome_zarr(tmp_path / "h.ome.zarr", stack, pixel_size_nm=None)
    engine = Restorer(str(tiny_model), Settings(device="cpu"))
    job = Job(tmp_path / "h.ome.zarr", tmp_path / "h.ome.tif")
    events = list(restore_files([job], lambda: engine))
    assert not any(isinstance(event, TileDone) for event in events)
    (failed,) = (event for event in events if isinstance(event, FileFailed))
    assert "float16 cannot be written" in failed.reason


def test_where_rows_are_not_certain_it_says_what_can_be_given(
    unclear: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restore", str(unclear), "-o", str(tmp_path / "r.tif"), *engine]) == 0
    assert "--rows" in capsys.readouterr().err
    whole = [*("restore", str(unclear), "-o", str(tmp_path / "all.tif")), "--rows", "all"]
    assert main([*whole, *engine]) == 0
    assert "--rows" not in capsys.readouterr().err
    assert read_image(tmp_path / "all.tif").pixels.shape == (168, 128)


def test_rows_that_an_image_has_not_are_refused(
    unclear: Path, tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["restore", str(unclear), "-o", str(tmp_path / "r.tif"), "--rows", "0-84"]
    assert main([*arguments, *engine]) == 1
    assert "has the rows 0 to 83" in capsys.readouterr().err
    assert not (tmp_path / "r.tif").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--rows", "5"),
        ("--rows", "9-3"),
        ("--rows", "-4-9"),
        ("--tile", "0"),
        ("--tile", "1x2x3"),
        ("--tile", "big"),
        ("--halo", "-1"),
        ("--strength", "1.5"),
        ("--strength", "nan"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_done(
    picture: Path, tmp_path: Path, option: str, value: str
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["restore", str(picture), "-o", str(tmp_path / "r.tif"), f"{option}={value}"])
    assert refused.value.code == 2
    assert not (tmp_path / "r.tif").exists()


def test_given_tile_and_intensity_reach_the_engine(
    picture: Path, tmp_path: Path, engine: list[str]
) -> None:
    options = ["--tile", "16x24", "--intensity", "10", "200"]
    main(["restore", str(picture), "-o", str(tmp_path / "r.tif"), *options, *engine])
    record = read_sidecar(sidecar_path(tmp_path / "r.tif"))
    assert record.tile == (16, 24)
    assert record.intensity_range == (10.0, 200.0)
    assert record.intensity_source == "given"


def test_an_unknown_model_ends_the_command_with_one_sentence(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["restore", str(picture), "-o", str(tmp_path / "r.tif"), "--model", "nonesuch"]
    assert main(command) == 1
    assert capsys.readouterr().err.startswith("napari-semnet: There is no model 'nonesuch'.")


def test_a_mistake_of_the_program_is_shown_whole_and_does_not_stop_the_rest(
    picture: Path, tmp_path: Path, tiny_model: Path
) -> None:
    class Faulty(Restorer):
        def run(self, image: object, out: object = None):  # type: ignore[no-untyped-def]
            if np.asarray(image).shape == (8, 8):
                raise ZeroDivisionError("a mistake")
            return super().run(image, out)

    small = tmp_path / "small.tif"
    write_tiff(small, np.zeros((8, 8), np.uint8), pixel_size_nm=None)
    jobs = [Job(path, tmp_path / f"{path.stem}-r.tif") for path in (small, picture)]
    events = list(restore_files(jobs, lambda: Faulty(tiny_model, Settings(device="cpu"))))
    (failure,) = [event for event in events if isinstance(event, FileFailed)]
    assert "ZeroDivisionError: a mistake" in failure.details
    assert events[-1] == BatchEnded(written=1, skipped=0, failed=1)


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("--workers=0", "number of processes: give 1 or more"),
        ("--retries=-1", "number of tries: give 0 or more"),
        ("--tile=0", "whole number of pixels: give 1 or more"),
        ("--halo=-3", "halo in whole pixels, auto or exact: give 0 or more"),
        ("--strength=x", "give 0 (plain enlargement) to 1"),
    ],
)
def test_a_number_that_cannot_be_is_refused_in_its_own_words(
    option: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["restore", "a.tif", "-o", "out", option])
    assert what in capsys.readouterr().err


def test_an_empty_name_does_not_mean_the_folder_one_is_in(
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(picture.parent)
    with pytest.raises(SystemExit) as refused:
        main(["restore", "", "-o", str(tmp_path / "out")])
    assert refused.value.code == 2
    assert "'' names nothing" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_image_with_nan_says_which_option_masks_it(
    tmp_path: Path, engine: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nan.tif"
    write_tiff(path, np.full((8, 8), np.nan, np.float32), pixel_size_nm=(3.0, 3.0))
    assert main(["restore", str(path), "-o", str(tmp_path / "out"), *engine]) == 1
    assert "--non-finite mask" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_stops_at_once_and_leaves_nothing_half_written(
    tmp_path: Path, engine: list[str]
) -> None:
    path, out = tmp_path / "large.tif", tmp_path / "out"
    write_tiff(path, np.full((400, 400), 99, np.uint8), pixel_size_nm=None)
    # A process started in the background of a script inherits that Ctrl-C is ignored.
    program = (
        "import signal, sys\nfrom napari_semnet.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "raise SystemExit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "restore", str(path), "-o", str(out)]
    command += ["--json", "--tile", "8", *engine]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            if json.loads(line)["event"] == "tile_done":
                process.send_signal(signal.SIGINT)
                break
        seen = sum(json.loads(line)["event"] == "tile_done" for line in process.stdout)
        status = process.wait(60)
    assert status == 130
    assert seen < 2000
    assert not out.exists() or not list(out.iterdir())


def test_restoring_a_file_imports_neither_qt_nor_napari(
    picture: Path, tmp_path: Path, engine: list[str]
) -> None:
    arguments = ["restore", str(picture), "-o", str(tmp_path / "r.tif"), *engine]
    program = (
        "import sys\nfrom napari_semnet.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        "tops = {name.partition('.')[0] for name in sys.modules}\n"
        "assert 'torch' in tops\n"
        "print(sorted(tops & {'napari', 'qtpy', 'PyQt5', 'PyQt6', 'PySide6', 'vispy'}))"
    )
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout.strip()) == (0, "[]"), answer.stderr
    assert (tmp_path / "r.tif").is_file()
