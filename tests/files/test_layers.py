"""napari gets calibrated layers from files, and writes calibrated files from layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_semnet.errors import FileFormatError
from napari_semnet.files.layers import (
    get_reader,
    layer_data,
    saved_options,
    write_layer,
    write_layers,
    write_zarr_layer,
)
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.provenance import Provenance, read_sidecar
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
from tests.files.making import databar, fei_header, specimen, tescan_header, write

WITH_BAR = np.vstack([specimen(), databar()])


def test_a_layer_carries_size_units_and_what_the_file_said(tmp_path: Path) -> None:
    path = write(tmp_path / "grains.tif", WITH_BAR, {34682: fei_header(4e-9, 5e-9)})
    reader = get_reader(str(path))
    assert reader is not None
    ((pixels, options, kind),) = reader(str(path))
    assert kind == "image"
    assert np.array_equal(pixels, WITH_BAR)
    assert options["scale"] == pytest.approx((5.0, 4.0))
    assert options["units"] == ("nm", "nm")
    assert options["axis_labels"] == ("y", "x")
    assert options["name"] == "grains"
    told = options["metadata"]["semnet_file"]
    assert told["specimen_rows"] == [0, 200]
    assert told["pixel_size"]["confidence"] == "high"
    assert told["conditions"]["working distance"] == "5 mm"


def test_without_a_size_the_layer_has_no_units(tmp_path: Path) -> None:
    ((_, options, _),) = layer_data(read_image(write(tmp_path / "a.tif", specimen())))
    assert options["units"] == ("pixel", "pixel")
    assert options["scale"] == (1.0, 1.0)


def test_detectors_that_shared_a_frame_become_layers(tmp_path: Path) -> None:
    main = {"PixelSizeX": 4e-9, "PixelSizeY": 4e-9, "ImageStripSize": 24, "ViewFieldsCountX": 2}
    header = tescan_header(main, {"Detector0": "SE", "Detector1": "BSE"})
    layers = layer_data(read_image(write(tmp_path / "a.tif", WITH_BAR, {50431: header})))
    assert [options["name"] for _, options, _ in layers] == ["a SE", "a BSE"]
    assert [pixels.shape for pixels, _, _ in layers] == [(200, 128)] * 2


@pytest.mark.parametrize("largest", [2**30, 1000])  # read whole, and left on the disk
def test_sliders_show_the_same_slices_whatever_order_of_axes_a_file_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    monkeypatch.setattr("napari_semnet.files.tiff_pixels.LAZY_BYTES", largest)
    stack = np.stack([np.stack([specimen() // (2 + 3 * z + c) for c in (0, 1)]) for z in range(3)])
    write_tiff(tmp_path / "a.ome.tif", stack, pixel_size_nm=(5, 5), axes="ZCYX", z_step_nm=7)
    write_ome_zarr(tmp_path / "a.ome.zarr", stack, pixel_size_nm=(5, 5), axes="ZCYX")
    tifffile.imwrite(tmp_path / "b.ome.tif", stack, metadata={"axes": "ZCYX"}, tile=(64, 64))
    for name in ("a.ome.tif", "a.ome.zarr", "b.ome.tif"):
        ((pixels, options, _),) = layer_data(read_image(tmp_path / name))
        finest = pixels[0] if isinstance(pixels, list) else pixels
        assert finest.shape == (2, 3, *specimen().shape)
        assert options["axis_labels"] == ("c", "z", "y", "x")
        assert np.array_equal(np.asarray(finest[1, 2]), stack[2, 1])
    ((_, options, _),) = layer_data(read_image(tmp_path / "a.ome.tif"))
    assert options["scale"] == pytest.approx((1.0, 7.0, 5.0, 5.0))


def test_axes_of_length_one_make_no_slider(tmp_path: Path) -> None:
    stack = np.stack([specimen() // (2 + z) for z in range(3)])[None, None]
    write_ome_zarr(tmp_path / "a.ome.zarr", stack, pixel_size_nm=(5, 5), z_step_nm=7)
    assert read_image(tmp_path / "a.ome.zarr").pixels.shape == (1, 1, 3, *specimen().shape)
    ((pixels, options, _),) = layer_data(read_image(tmp_path / "a.ome.zarr"))
    assert options["axis_labels"] == ("z", "y", "x")
    assert options["scale"] == pytest.approx((7.0, 5.0, 5.0))
    assert np.array_equal(np.asarray(pixels), stack[0, 0])


def test_only_what_it_adds_something_to_is_taken(tmp_path: Path) -> None:
    Image.fromarray(specimen()).save(tmp_path / "a.png")
    assert get_reader(str(tmp_path / "a.png")) is None
    (tmp_path / "a.txt").write_text("[SemImageFile]\nPixelSize=2\n")
    assert get_reader(str(tmp_path / "a.png")) is not None
    assert get_reader([str(tmp_path / "a.png")]) is None
    assert get_reader(str(tmp_path)) is None


def test_a_layer_of_any_unit_is_written_in_nanometres(tmp_path: Path) -> None:
    attributes = {
        "scale": (0.002, 0.003),
        "translate": (-0.0005, 0.01),
        "units": ("micrometer", "micrometer"),
        "axis_labels": ("y", "x"),
        "name": "grains",
        "metadata": {"semnet": Provenance(model="m", halo=12).model_dump(mode="json")},
    }
    (written,) = write_layer(str(tmp_path / "a.ome.tif"), specimen(), attributes)
    image = read_image(written)
    assert image.pixel_size is not None
    assert image.pixel_size.yx == pytest.approx((2.0, 3.0))
    assert image.origin_nm == pytest.approx((-0.5, 10.0))
    assert image.provenance is not None
    assert image.provenance.model == "m"
    assert read_sidecar(tmp_path / "a.semnet.json").halo == 12
    ((_, options, _),) = layer_data(image)
    assert options["translate"] == pytest.approx((-0.5, 10.0))
    assert options["metadata"]["semnet"]["halo"] == 12


@pytest.mark.parametrize("name", ["2.5kV_x10k_01.tif", "2.5kV_x10k_01.ome.tif"])
def test_dots_within_a_name_stay_in_it(tmp_path: Path, name: str) -> None:
    ((_, options, _),) = layer_data(read_image(write(tmp_path / name, specimen())))
    assert options["name"] == "2.5kV_x10k_01"


def turned(degrees: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


@pytest.mark.parametrize(
    ("place", "size", "origin"),
    [
        ({"affine": np.diag([3.0, 4.0, 1.0])}, (6.0, 8.0), (30.0, 80.0)),
        ({"affine": [[1, 0, 5], [0, 1, -5], [0, 0, 1]]}, (2.0, 2.0), (15.0, 15.0)),
        ({"rotate": turned(30)}, (2.0, 2.0), None),
        ({"rotate": turned(90), "scale": (2.0, 3.0)}, (2.0, 3.0), None),
        ({"rotate": turned(360)}, (2.0, 2.0), (10.0, 20.0)),
        ({"shear": [0.75]}, (2.0, 2.5), None),
        ({"scale": (-2.0, 2.0)}, (2.0, 2.0), None),
        ({"units": ("micrometer", "nm")}, (2000.0, 2.0), (10_000.0, 20.0)),
        ({"units": ("micrometer", "nm"), "rotate": turned(90)}, (2.0, 2000.0), None),
    ],
)
def test_every_transform_of_a_layer_counts_and_only_an_upright_one_has_an_origin(
    place: dict[str, object], size: tuple[float, float], origin: tuple[float, float] | None
) -> None:
    attributes = {"scale": (2.0, 2.0), "translate": (10.0, 20.0), "units": ("nm", "nm")} | place
    options = saved_options(attributes)
    assert options["pixel_size_nm"] == pytest.approx(size)
    assert options.get("origin_nm") == (None if origin is None else pytest.approx(origin))


def test_a_stack_is_upright_though_its_slices_are_in_no_unit() -> None:
    options = saved_options(
        {
            "scale": (1.0, 2.0, 2.0),
            "translate": (0.0, 10.0, 20.0),
            "units": ("pixel", "nm", "nm"),
            "axis_labels": ("z", "y", "x"),
            "affine": np.diag([-1.0, 3.0, 3.0, 1.0]),
        }
    )
    assert (options["pixel_size_nm"], options["origin_nm"]) == ((6.0, 6.0), (30.0, 60.0))
    assert options["z_step_nm"] is None


@pytest.mark.parametrize("labels", [("z", "y", "x"), ("-3", "-2", "-1")])
@pytest.mark.parametrize("write_it", [write_layer, write_zarr_layer])
def test_a_part_of_a_volume_lies_along_z_where_its_file_says_whether_its_axes_are_named_or_not(
    tmp_path: Path,
    write_it: Callable[[str, np.ndarray, dict[str, object]], list[str]],
    labels: tuple[str, ...],
) -> None:
    pytest.importorskip("zarr")
    attributes: dict[str, object] = {
        "scale": (0.01, 0.002, 0.002),
        "translate": (0.3, 0.2, 0.1),
        "units": ("micrometer",) * 3,
        "axis_labels": labels,
    }
    ending = "tif" if write_it is write_layer else "zarr"
    (written,) = write_it(str(tmp_path / f"a.ome.{ending}"), np.stack([specimen()] * 3), attributes)
    ((_, options, _),) = layer_data(read_image(written))
    assert options["translate"] == pytest.approx((300, 200, 100))
    assert options["scale"] == pytest.approx((10, 2, 2))


def test_slices_that_are_counted_from_the_far_end_have_no_place_along_z() -> None:
    attributes = {
        "scale": (-10.0, 2.0, 2.0),
        "translate": (300.0, 200.0, 100.0),
        "units": ("nm",) * 3,
        "axis_labels": ("z", "y", "x"),
    }
    options = saved_options(attributes)
    assert (options["origin_z_nm"], options["origin_nm"]) == (None, (200, 100))


def test_layers_in_pixels_are_written_uncalibrated(tmp_path: Path) -> None:
    attributes = {"scale": (2.0, 2.0), "units": ("pixel", "pixel"), "axis_labels": ("-2", "-1")}
    write_layer(str(tmp_path / "a.tif"), specimen(), attributes)
    assert read_image(tmp_path / "a.tif").pixel_size is None


def test_a_pyramid_is_written_at_its_finest_level(tmp_path: Path) -> None:
    levels = [specimen(), specimen()[::2, ::2]]
    write_layer(str(tmp_path / "a.tif"), levels, {"scale": (1, 1), "multiscale": True})
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), specimen())


def test_colour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="colour"):
        write_layer(str(tmp_path / "a.tif"), np.zeros((4, 4, 3), np.uint8), {"rgb": True})


def test_several_layers_get_names_of_their_own_and_replace_nothing(tmp_path: Path) -> None:
    layers = [(specimen(), {"name": name}, "image") for name in ("a/b", "a:b", "", "é [SEMNet 2x]")]
    written = write_layers(str(tmp_path / "day"), layers)
    names = ["day_a_b", "day_a_b-2", "day_image", "day_é_semnet-x2"]
    assert [Path(name).name for name in written] == [f"{name}.ome.tif" for name in names]
    Path(written[0]).unlink()
    with pytest.raises(FileFormatError, match=r"day_a_b-2.ome.tif is there already"):
        write_layers(str(tmp_path / "day"), layers)
    assert not Path(written[0]).exists()


def test_layers_whose_names_differ_in_case_alone_do_not_share_a_file_anywhere(
    tmp_path: Path,
) -> None:
    layers = [(specimen(), {"name": name}, "image") for name in ("BSE", "bse", "Bse-2", "bse")]
    names = [Path(name).name for name in write_layers(str(tmp_path / "day"), layers)]
    assert names == [f"day_{name}.ome.tif" for name in ("BSE", "bse-2", "Bse-2-2", "bse-3")]


def test_a_layer_in_colour_stops_several_before_any_is_written(tmp_path: Path) -> None:
    colour = (np.zeros((8, 8, 3), np.uint8), {"name": "c", "rgb": True}, "image")
    with pytest.raises(FileFormatError, match="in colour"):
        write_layers(str(tmp_path / "day.tif"), [(specimen(), {"name": "a"}, "image"), colour])
    assert not list(tmp_path.iterdir())


class TestInNapari:
    """napari's own machinery, without a window."""

    @pytest.fixture
    def viewer(self, request: pytest.FixtureRequest) -> object:
        npe2 = pytest.importorskip("npe2")
        components = pytest.importorskip("napari.components")
        npe2pm = request.getfixturevalue("npe2pm")
        for name in ("napari", "napari-semnet"):
            npe2pm.register(npe2.PluginManifest.from_distribution(name))
        return components.ViewerModel()

    @pytest.mark.parametrize(
        ("suffix", "plugin"),
        [(".ome.tif", None), (".ome.zarr", None), (".tif", "napari-semnet")],
    )
    def test_save_picks_the_calibrated_writer(
        self, viewer: object, tmp_path: Path, suffix: str, plugin: str | None
    ) -> None:
        if suffix.endswith("zarr"):
            pytest.importorskip("zarr")
        layer = viewer.add_image(  # type: ignore[attr-defined]
            specimen(), scale=(2.5, 2.5), translate=(-0.625, -0.625), units=("nm", "nm")
        )
        (written,) = layer.save(str(tmp_path / f"a{suffix}"), plugin=plugin)
        image = read_image(written)
        assert image.pixel_size is not None
        assert image.pixel_size.yx == (2.5, 2.5)
        (again,) = viewer.open(written, plugin="napari-semnet")  # type: ignore[attr-defined]
        assert [str(unit) for unit in again.units] == ["nanometer", "nanometer"]
        assert tuple(again.scale) == (2.5, 2.5)
        assert tuple(again.translate) == (-0.625, -0.625)
        pixels = again.data[0] if again.multiscale else again.data
        assert np.array_equal(np.asarray(pixels), specimen())

    @pytest.mark.parametrize(
        ("unit", "nm"), [("cm", 1e7), ("mm", 1e6), ("um", 1e3), ("pm", 1e-3), ("angstrom", 0.1)]
    )
    def test_every_unit_of_length_is_understood(self, viewer: object, unit: str, nm: float) -> None:
        layer = viewer.add_image(specimen(), units=(unit, unit), affine=np.diag([2, 2, 1]))  # type: ignore[attr-defined]
        _, attributes, _ = layer.as_layer_data_tuple()
        assert saved_options(attributes)["pixel_size_nm"] == pytest.approx((2 * nm, 2 * nm))

    def test_the_save_dialog_s_filter_leads_to_it(self, viewer: object) -> None:
        npe2 = pytest.importorskip("napari.plugins._npe2")
        layer = viewer.add_image(specimen())  # type: ignore[attr-defined]
        filters, writers = npe2.file_extensions_string_for_layers([layer])
        offered = dict(zip(filters.split(";;"), writers, strict=True))
        tiff = next(text for text in offered if "Calibrated OME-TIFF" in text)
        assert "*.ome.tif *.ome.tiff *.tif *.tiff" in tiff
        assert offered[tiff].command == "napari-semnet.write_tiff"

    @pytest.mark.parametrize("ending", [".ome.tif", ".tif", ".ome.zarr"])
    def test_several_layers_are_saved_calibrated_by_default(
        self, viewer: object, tmp_path: Path, ending: str
    ) -> None:
        if ending.endswith("zarr"):
            pytest.importorskip("zarr")
        npe2 = pytest.importorskip("napari.plugins._npe2")
        layers = [
            viewer.add_image(specimen(), name="grains", scale=(n, n), units=("nm", "nm"))  # type: ignore[attr-defined]
            for n in (4.0, 2.0)
        ]
        _, writers = npe2.file_extensions_string_for_layers(layers)
        assert writers[0].command == "napari-semnet.write_several"
        written = viewer.layers.save(str(tmp_path / f"day{ending}"), _writer=writers[0])  # type: ignore[attr-defined]
        names = [f"day_grains{ending}", f"day_grains__1{ending}"]
        assert [Path(name).name for name in written] == names
        sizes = {image.pixel_size.yx for name in written if (image := read_image(name)).pixel_size}
        assert sizes == {(4.0, 4.0), (2.0, 2.0)}

    def test_stacks_open_with_their_axes(self, viewer: object, tmp_path: Path) -> None:
        pixels = np.stack([specimen(seed=i) for i in range(3)])
        path = write_tiff(tmp_path / "a.tif", pixels, pixel_size_nm=(4, 4), z_step_nm=30)
        (layer,) = viewer.open(str(path), plugin="napari-semnet")  # type: ignore[attr-defined]
        assert tuple(layer.scale) == (30, 4, 4)
        assert tuple(layer.axis_labels) == ("z", "y", "x")
