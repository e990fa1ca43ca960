"""Bench: one table for this machine, and the same as JSON."""

from __future__ import annotations

import json

import pytest

from napari_semnet.cli import main
from napari_semnet.network import Architecture
from napari_semnet.restoration.rates import operations_of_network


def test_each_way_to_compute_is_a_row_and_the_json_holds_the_same(
    tiny_model, tmp_path, capsys
) -> None:
    target = tmp_path / "bench.json"
    command = ["bench", "--model", str(tiny_model), "--size", "40x50", "--runs", "1"]
    assert main([*command, "--device", "cpu", "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert "Mpx/s" in out
    found = json.loads(target.read_text())
    assert found["size"] == [40, 50]
    assert {"torch", "torch-stacked"} <= {rate["backend"] for rate in found["rates"]}
    for rate in found["rates"]:
        assert rate["backend"] in out
        assert rate["megapixels_per_second"] == pytest.approx(40 * 50 / rate["seconds"] / 1e6)
        assert rate["share"] > 0


@pytest.mark.parametrize("size", ["480", "axb", "0x5", "1x2x3"])
def test_a_size_that_is_none_is_refused(size, capsys) -> None:
    assert main(["bench", "--size", size]) == 1
    assert "480x640" in capsys.readouterr().err


@pytest.mark.parametrize("runs", ["0", "-1", "many"])
def test_a_number_of_runs_that_is_none_is_refused(runs, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--runs", runs])
    assert ended.value.code == 2
    assert "give 1 or more" in capsys.readouterr().err


def test_a_frame_takes_as_many_operations_as_counted_by_hand() -> None:
    assert operations_of_network(Architecture()) * 640 * 480 == pytest.approx(2.77e12, rel=0.01)
