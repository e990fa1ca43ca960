"""Headers of the vendors: what they say is found, and nothing else is."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_semnet.files.calibration import Findings
from napari_semnet.files.vendors.fei import read_fei
from napari_semnet.files.vendors.fibics import read_fibics
from napari_semnet.files.vendors.general import (
    read_dm_tags,
    read_imagej,
    read_ome,
    read_openfibsem,
)
from napari_semnet.files.vendors.hitachi import read_hitachi
from napari_semnet.files.vendors.jeol import read_jeol
from napari_semnet.files.vendors.tescan import read_tescan_sidecar, read_tescan_tag
from napari_semnet.files.vendors.text import decode, in_units, sections
from napari_semnet.files.vendors.thermo_xml import read_thermo_xml
from napari_semnet.files.vendors.zeiss import read_zeiss
from napari_semnet.files.vendors.zeiss_orion import read_zeiss_orion
from tests.files.making import (
    fei_header,
    fibics_header,
    orion_header,
    phenom_header,
    tescan_header,
    zeiss_header,
)


def size_of(findings: Findings | None) -> tuple[float, float] | None:
    assert findings is not None
    return None if findings.pixel_size is None else findings.pixel_size.yx


class TestFei:
    def test_size_rows_and_conditions_are_found(self) -> None:
        found = read_fei(fei_header(4e-9, 5e-9).encode(), 256, 224)
        assert size_of(found) == pytest.approx((5.0, 4.0))
        assert found is not None
        assert found.specimen_rows == (0, 200)
        assert found.metadata["acceleration voltage"] == "2 kV"
        assert found.metadata["working distance"] == "5 mm"
        assert found.metadata["dwell time"] == "1 µs"
        assert found.metadata["frames integrated"] == "4"
        assert "noise filter" not in found.metadata

    def test_a_picture_resized_later_is_not_calibrated(self) -> None:
        found = read_fei(fei_header().encode(), 128, 112)
        assert size_of(found) is None
        assert found is not None
        assert found.specimen_rows is None
        assert "256" in found.warnings[0]

    def test_a_size_that_the_rest_of_the_header_denies_is_not_believed(self) -> None:
        header = fei_header().replace("[Scan]\nPixelWidth=4e-09", "[Scan]\nPixelWidth=7e-09")
        found = read_fei(header.encode(), 256, 224)
        assert size_of(found) is None
        assert found is not None
        assert "contradicts" in found.warnings[0]

    @pytest.mark.parametrize("value", ["", "notafloat", "nan", "inf", "0", "-4e-9", "1e30"])
    def test_values_that_are_no_size_are_left_out(self, value: str) -> None:
        header = fei_header().replace("4e-09", value).replace(f"HFW={4e-9 * 256}", "HFW=")
        assert size_of(read_fei(header.encode(), 256, 224)) is None

    def test_field_width_stands_in_where_pixels_are_not_stated(self) -> None:
        header = fei_header().replace("4e-09", "")
        found = read_fei(header.encode(), 256, 224)
        assert size_of(found) == pytest.approx((4.0, 4.0))
        assert found is not None
        assert found.pixel_size is not None
        assert found.pixel_size.confidence == "medium"

    def test_xml_in_base64_is_read(self) -> None:
        xml = (
            "<Metadata><BinaryResult><ImageSize><X>256</X><Y>200</Y></ImageSize><PixelSize>"
            '<X unit="m">3e-9</X><Y unit="m">3e-9</Y></PixelSize></BinaryResult></Metadata>'
        )
        found = read_fei(base64.b64encode(xml.encode()), 256, 224)
        assert size_of(found) == pytest.approx((3.0, 3.0))
        assert found is not None
        assert found.specimen_rows == (0, 200)

    def test_magnification_alone_is_no_size(self) -> None:
        found = read_fei(b"[DatabarData]\nflAccV = 5000\n[Vector]\nMagnification = 10000\n", 7, 4)
        assert size_of(found) is None
        assert found is not None
        assert found.metadata["acceleration voltage"] == "5 kV"


class TestZeiss:
    def test_size_is_referred_to_the_picture_not_the_display(self) -> None:
        pairs = {"AP_PIXEL_SIZE": "5.825 nm", "AP_WIDTH": "5.965 µm", "AP_WD": "3.9 mm"}
        header = zeiss_header(5.824988e-9, 512, pairs).encode("cp1252")
        found = read_zeiss(header, 512, 384)
        assert size_of(found) == pytest.approx((11.649976, 11.649976), rel=1e-9)
        assert found is not None
        assert found.pixel_size is not None
        assert found.pixel_size.confidence == "high"
        assert found.metadata["working distance"] == "3.9 mm"

    def test_contradiction_gives_none(self) -> None:
        header = zeiss_header(9e-9, 512, {"AP_WIDTH": "5.965 µm"}).encode("cp1252")
        found = read_zeiss(header, 512, 384)
        assert size_of(found) is None
        assert found is not None
        assert "contradicts" in found.warnings[0]

    def test_stated_image_pixel_size_wins_over_a_broken_head(self) -> None:
        pairs = {"AP_IMAGE_PIXEL_SIZE": "12.33 nm", "AP_WIDTH": "25.25 µm"}
        header = zeiss_header(9e-6, 2048, pairs).encode("cp1252")
        assert size_of(read_zeiss(header, 2048, 1536)) == pytest.approx((12.33, 12.33))

    @pytest.mark.parametrize(
        ("size", "field", "nm"),
        [
            ("558.3 pm", "571.7 nm", 0.5583),
            ("11.17 nm", "11.44 µm", 11.17),
            ("11.17 nm", "11.44 um", 11.17),
            ("2.615 µm", "2.678 mm", 2615),
            ("0.002615 mm", "2.678 mm", 2615),
            ("2.615e-006 m", "2.678e-003 m", 2615),
        ],
    )
    @pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-16"])
    def test_lengths_in_any_unit(self, size: str, field: str, nm: float, encoding: str) -> None:
        pairs = {"AP_IMAGE_PIXEL_SIZE": size, "AP_WIDTH": field}
        found = read_zeiss(zeiss_header(nm * 1e-9, 1024, pairs).encode(encoding), 1024, 768)
        assert size_of(found) == pytest.approx((nm, nm), rel=1e-9)
        without_head = zeiss_header(0, 1024, pairs).encode(encoding)
        assert size_of(read_zeiss(without_head, 1024, 768)) == pytest.approx((nm, nm), rel=1e-9)

    def test_few_digits_are_no_contradiction(self) -> None:
        pairs = {"AP_IMAGE_PIXEL_SIZE": "1.1 nm", "AP_WIDTH": "1.18 µm"}
        found = read_zeiss(zeiss_header(1.149e-9, 1024, pairs).encode("cp1252"), 1024, 768)
        assert size_of(found) == pytest.approx((1.149, 1.149))

    def test_a_picture_that_was_cropped_later_is_not_calibrated(self) -> None:
        """Of its width, the field and the number on the display are both divided by the wrong."""
        pairs = {"AP_IMAGE_PIXEL_SIZE": "10.00 nm", "AP_WIDTH": "10.24 µm"}
        header = zeiss_header(10e-9, 1024, pairs).encode("cp1252")
        assert size_of(read_zeiss(header, 1024, 768)) == pytest.approx((10, 10))
        assert size_of(read_zeiss(header, 640, 480)) is None


class TestOrion:
    @pytest.mark.parametrize(("x", "unit"), [(2.5e-9, "m"), (2.5e-9, ""), (2.5, "nm")])
    def test_scaling_is_the_size_of_a_pixel(self, x: float, unit: str) -> None:
        found = read_zeiss_orion(orion_header(x, 256, unit, field=0.64).encode(), 256, 200)
        assert size_of(found) == pytest.approx((2.5, 2.5))
        assert found is not None
        assert found.metadata["acceleration voltage"] == "30 kV"
        assert found.metadata["field of view"] == "0.64 µm"

    @pytest.mark.parametrize(("field", "width"), [(0.9, 256), (0.64, 128)])
    def test_a_field_or_a_width_that_denies_it_leaves_none(self, field: float, width: int) -> None:
        header = orion_header(2.5e-9, 256, field=field).encode()
        found = read_zeiss_orion(header, width, 200)
        assert size_of(found) is None
        assert found is not None
        assert found.warnings

    def test_other_xml_is_not_orion(self) -> None:
        assert read_zeiss_orion(b"<Fibics/>", 3, 3) is None


class TestFibics:
    @pytest.mark.parametrize("rotation", [0.0, 0.5, 2.0])
    def test_steps_give_the_size_at_any_rotation(self, rotation: float) -> None:
        header = fibics_header(0.0052, 300, 200, rotation).encode()
        assert size_of(read_fibics(header, 300, 200)) == pytest.approx((5.2, 5.2), rel=1e-12)

    def test_a_header_for_another_raster_is_refused(self) -> None:
        found = read_fibics(fibics_header(0.0052, 300, 200).encode(), 150, 100)
        assert size_of(found) is None
        assert found is not None
        assert found.warnings

    def test_machine_and_beam_are_found(self) -> None:
        header = fibics_header(0.0052, 300, 200).replace("<Image>", "<Image><Machine>A1</Machine>")
        beam = '<BeamInfo><item name="AccV">5000.0</item><item name="BeamI">50</item></BeamInfo>'
        found = read_fibics(header.replace("<Scan>", f"{beam}<Scan>").encode(), 300, 200)
        assert found is not None
        assert found.instrument == "A1"
        assert found.metadata["acceleration voltage"] == "5 kV"
        assert found.metadata["beam current"] == "50 pA"

    def test_other_xml_is_not_fibics(self) -> None:
        assert read_fibics(b"<Other><Ux>1</Ux></Other>", 3, 3) is None


TESCAN = {"PixelSizeX": "2.5e-9", "PixelSizeY": "3e-9", "ImageStripSize": 24, "Device": "MIRA"}


class TestTescan:
    def test_tag_gives_size_rows_and_conditions(self) -> None:
        tag = tescan_header(TESCAN, {"HV": "10.0e3", "WD": "13.25e-3", "DwellTime": "3.2e-6"})
        found = read_tescan_tag(tag, 256, 224)
        assert size_of(found) == pytest.approx((3.0, 2.5))
        assert found is not None
        assert (found.instrument, found.specimen_rows) == ("MIRA", (0, 200))
        assert found.metadata["acceleration voltage"] == "10 kV"

    def test_sidecar_says_the_same(self) -> None:
        text = "[MAIN]\r\n" + "\r\n".join(f"{k}={v}" for k, v in TESCAN.items())
        found = read_tescan_sidecar(text, 256, 224)
        assert size_of(found) == pytest.approx((3.0, 2.5))
        assert found is not None
        assert found.specimen_rows == (0, 200)

    def test_view_fields_must_divide_the_frame(self) -> None:
        even = read_tescan_tag(tescan_header(TESCAN | {"ViewFieldsCountX": 2}), 256, 224)
        odd = read_tescan_tag(tescan_header(TESCAN | {"ViewFieldsCountX": 3}), 256, 224)
        assert even is not None
        assert odd is not None
        assert even.view_fields == (1, 2)
        assert odd.view_fields == (1, 1)
        assert odd.warnings


class TestJeol:
    def test_pixel_size_with_a_unit_comes_first(self) -> None:
        text = "$CM_MAG 50\n$CM_PIXEL_SIZE 12.5nm\n$CM_FIELD_OF_VIEW 20um 15um\n"
        assert size_of(read_jeol(text, 1280, 960)) == (12.5, 12.5)

    @pytest.mark.parametrize("field", ["1.28mm 0.96mm", "1280 960um", "1.28mm 960μm"])
    def test_field_of_view_over_pixels(self, field: str) -> None:
        text = f"$CM_MAG 100\n$CM_FIELD_OF_VIEW {field}\n"
        assert size_of(read_jeol(text, 1280, 960)) == pytest.approx((1000.0, 1000.0))

    def test_scale_bar_in_pixels(self) -> None:
        text = "$CM_MAG 5000\n$$SM_MICRON_BAR 160\n$$SM_MICRON_MARKER 5um\n"
        assert size_of(read_jeol(text, 1280, 960)) == pytest.approx((31.25, 31.25))

    def test_magnification_alone_is_of_low_confidence(self) -> None:
        found = read_jeol("$CM_FORMAT JEOL-SEM\n$CM_MAG 50\n", 1280, 960)
        assert size_of(found) == pytest.approx((2000.0, 2000.0))
        assert found is not None
        assert found.pixel_size is not None
        assert found.pixel_size.confidence == "low"

    def test_footer_below_the_stated_picture_is_left_out(self) -> None:
        found = read_jeol("$CM_IMAGE_SIZE 1280 960\n$SM_PNU_HEIGHT 64\n", 1280, 1024)
        assert found is not None
        assert found.specimen_rows == (0, 960)

    def test_another_width_than_stated_is_not_calibrated(self) -> None:
        found = read_jeol("$CM_IMAGE_SIZE 1280 960\n$CM_PIXEL_SIZE 1nm\n", 640, 480)
        assert size_of(found) is None


class TestHitachi:
    TEXT = (
        "[SemImageFile]\r\nInstructName=SU8000\r\nDataSize=1280x960\r\nPixelSize=24.8\r\n"
        "AcceleratingVoltage=15000 Volt\r\nWorkingDistance=8100 um\r\n"
    )

    @pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-16-le", "utf-8-sig"])
    def test_every_encoding_is_read(self, encoding: str) -> None:
        text = decode(self.TEXT.encode(encoding), "utf-8", "cp932")
        found = read_hitachi(text, 1280, 960)
        assert size_of(found) == (24.8, 24.8)
        assert found is not None
        assert found.metadata["acceleration voltage"] == "15 kV"
        assert found.metadata["working distance"] == "8.1 mm"
        assert found.specimen_rows is None

    def test_a_strip_below_the_stated_picture_is_left_out(self) -> None:
        found = read_hitachi(self.TEXT, 1280, 1024)
        assert found is not None
        assert found.specimen_rows == (0, 960)

    def test_magnification_alone_gives_no_size(self) -> None:
        text = "[SemImageFile]\nDataSize=1280x960\nMagnification=15000\n"
        found = read_hitachi(text, 1280, 960)
        assert size_of(found) is None
        assert found is not None
        assert found.warnings


class TestPhenom:
    @pytest.mark.parametrize(("unit", "nm"), [("um", 694.952), ("nm", 0.694952), ("m", None)])
    def test_units_are_obeyed(self, unit: str, nm: float | None) -> None:
        found = read_thermo_xml(phenom_header(0.694952, 24, unit).encode(), 256, 224)
        assert size_of(found) == (None if nm is None else pytest.approx((nm, nm)))
        assert found is not None
        assert (found.specimen_rows, found.instrument) == ((0, 200), "Phenom ProX")

    def test_entities_are_not_expanded(self) -> None:
        levels = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
        bomb = f'<!DOCTYPE x [<!ENTITY a0 "ha">{levels}]>' + phenom_header(1, 0)[21:]
        assert read_thermo_xml(bomb.replace("ProX", "&a11;").encode(), 9, 9) is None


class TestGeneral:
    def test_ome_unit_is_micrometre_unless_stated(self) -> None:
        text = '<OME><Image><Pixels PhysicalSizeX="0.004" PhysicalSizeY="0.005"/></Image></OME>'
        assert size_of(read_ome(text, 8)) == pytest.approx((5.0, 4.0))

    def test_ome_in_pixels_is_no_size(self) -> None:
        text = (
            '<OME><Pixels PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1" '
            'PhysicalSizeYUnit="pixel"/></OME>'
        )
        assert size_of(read_ome(text, 8)) is None

    @pytest.mark.parametrize("dots", [72, 96, 300])
    def test_a_printer_s_resolution_in_ome_is_no_size(self, dots: int) -> None:
        size = 25400 / dots
        found = read_ome(f'<OME><Pixels PhysicalSizeX="{size}" PhysicalSizeY="{size}"/></OME>', 8)
        assert size_of(found) is None
        assert found is not None
        assert found.warnings

    @pytest.mark.parametrize(
        ("unit", "nm"),
        [
            ("nm", 0.5),
            ("micron", 500.0),
            ("um", 500.0),
            ("µm", 500.0),
            ("\\u00B5m", 500.0),
            ("\\u03bcm", 500.0),
            ("\\u00c5", 0.05),
            ("\\u212b", 0.05),
        ],
    )
    def test_imagej_units(self, unit: str, nm: float) -> None:
        found = read_imagej(f"ImageJ=1.54f\nunit={unit}\n", (2.0, 2.0))
        assert size_of(found) == pytest.approx((nm, nm))

    @pytest.mark.parametrize(
        ("spacing", "nm"), [("0.01", 10.0), ("-0.01", 10.0), ("0", None), ("nan", None)]
    )
    def test_imagej_slices_have_a_distance_whichever_way_they_are_counted(
        self, spacing: str, nm: float | None
    ) -> None:
        found = read_imagej(f"ImageJ=1.54f\nunit=micron\nspacing={spacing}\n", (250.0, 250.0))
        assert found is not None
        assert found.z_step_nm == pytest.approx(nm)

    def test_imagej_axes_may_have_units_of_their_own(self) -> None:
        said = "ImageJ=1.54f\nunit=nm\nyunit=\\u00B5m\nzunit=mm\nspacing=0.001\n"
        found = read_imagej(said, (500.0, 0.25))
        assert size_of(found) == pytest.approx((2.0, 4.0))
        assert found is not None
        assert found.z_step_nm == pytest.approx(1000.0)

    def test_an_imagej_axis_in_pixels_leaves_no_size(self) -> None:
        assert size_of(read_imagej("ImageJ=1.54f\nunit=nm\nyunit=pixel\n", (1.0, 0.25))) is None

    @pytest.mark.parametrize("unit", ["inch", "pixel", "cm", "", "furlong"])
    def test_imagej_display_units_are_no_size(self, unit: str) -> None:
        assert size_of(read_imagej(f"ImageJ=1.54f\nunit={unit}\n", (300.0, 300.0))) is None

    def test_digital_micrograph_tags(self) -> None:
        assert size_of(read_dm_tags(("nm", "µm"), (2.0, 0.003))) == pytest.approx((2.0, 3.0))
        assert read_dm_tags(("", ""), (2.0, 2.0)) is None

    def test_openfibsem(self) -> None:
        text = json.dumps({"image": {"hfw": 1e-4}, "state": {"pixel_size": {"x": 1e-9, "y": 2e-9}}})
        assert size_of(read_openfibsem(text)) == pytest.approx((2.0, 1.0))

    def test_deep_json_does_not_break_it(self) -> None:
        assert read_openfibsem('{"a":' * 100_000) is None


def test_sections_know_names_in_any_case_and_take_the_first_of_two() -> None:
    found = sections("a=1\n[S]\nKey = v \nKEY=w\nbroken\n[s]\nb=2")["S"]
    assert (found["key"], found.get("KEY"), found["B"], "kEy" in found) == ("v", "v", "2", True)


def test_in_units_takes_the_fitting_prefix() -> None:
    values = [in_units(v, "A") for v in ("2.5e-11", "1e-9", "0", "x", None, "12")]
    assert values == ["25 pA", "1 nA", "0 A", "", "", "12 A"]


HEADERS = {
    "fei": (read_fei, fei_header().encode()),
    "zeiss": (read_zeiss, zeiss_header(4e-9, 256, {"AP_WIDTH": "1.02 µm"}).encode("cp1252")),
    "tescan": (read_tescan_tag, tescan_header(TESCAN)),
    "fibics": (read_fibics, fibics_header(0.004, 256, 224).encode()),
    "phenom": (read_thermo_xml, phenom_header(0.004, 24).encode()),
}


@pytest.mark.parametrize("vendor", HEADERS)
@given(data=st.data())
def test_a_damaged_header_never_raises(vendor: str, data: st.DataObject) -> None:
    read, header = HEADERS[vendor]
    damaged = bytearray(header)
    for _ in range(data.draw(st.integers(0, 8))):
        damaged[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(header)))
    found = read(bytes(damaged[:cut]), 256, 224)
    if found is not None and found.pixel_size is not None:
        assert all(np.isfinite(v) and 1e-3 <= v <= 1e6 for v in found.pixel_size.yx)
    if found is not None and found.specimen_rows is not None:
        assert 0 <= found.specimen_rows[0] < found.specimen_rows[1] <= 224


@given(text=st.text(max_size=300))
def test_any_text_beside_a_picture_is_survived(text: str) -> None:
    for content in (text, "$CM_MAG " + text, "[SemImageFile]\nPixelSize=" + text):
        for read in (read_jeol, read_hitachi, read_tescan_sidecar):
            read(content, 256, 224)


class TestDecimalComma:
    """A program on a European desktop may write 24,8; no digit of it may be lost."""

    def test_fei(self) -> None:
        text = fei_header().replace("4e-09", "4,25e-009").replace("HFW=", "HFW=,")
        assert size_of(read_fei(text.encode(), 256, 200)) == pytest.approx((4.25, 4.25))

    def test_zeiss(self) -> None:
        pairs = {"AP_IMAGE_PIXEL_SIZE": "11,17 nm", "AP_WIDTH": "11,44 µm"}
        text = zeiss_header(11.17e-9, 1024, pairs).replace("1.117", "1,117")
        found = read_zeiss(text.encode("cp1252"), 1024, 768)
        assert size_of(found) == pytest.approx((11.17, 11.17))

    def test_tescan(self) -> None:
        tag = tescan_header({"PixelSizeX": "2,5e-9", "PixelSizeY": "2,5e-9", "ImageStripSize": 24})
        assert size_of(read_tescan_tag(tag, 256, 224)) == pytest.approx((2.5, 2.5))

    def test_jeol(self) -> None:
        text = "$CM_FORMAT JEOL-SEM\n$CM_FIELD_OF_VIEW 1,28mm 0,96mm\n"
        assert size_of(read_jeol(text, 1280, 960)) == pytest.approx((1000, 1000))

    def test_hitachi(self) -> None:
        text = "[SemImageFile]\nDataSize=1280x960\nPixelSize=24,80469\n"
        assert size_of(read_hitachi(text, 1280, 960)) == pytest.approx((24.80469, 24.80469))

    @pytest.mark.parametrize(("text", "nm"), [("24.8 nm", 24.8), ("0.0248 um", 24.8)])
    def test_a_unit_that_hitachi_states_is_obeyed(self, text: str, nm: float) -> None:
        found = read_hitachi(f"[SemImageFile]\nPixelSize={text}\n", 1280, 960)
        assert size_of(found) == pytest.approx((nm, nm))

    @pytest.mark.parametrize("text", ["1,067", "12,500", "1,024,768", "1_000", "1,2.3"])
    def test_what_may_be_thousands_is_not_read(self, text: str) -> None:
        jeol = f"$CM_FORMAT JEOL-SEM\n$CM_FIELD_OF_VIEW {text}mm {text}mm\n"
        assert size_of(read_jeol(jeol, 1280, 960)) is None
        hitachi = f"[SemImageFile]\nDataSize=1280x960\nPixelSize={text}\n"
        assert size_of(read_hitachi(hitachi, 1280, 960)) is None


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_end_of_line_is_one(ending: str) -> None:
    def with_ending(text: str) -> bytes:
        return ending.join(text.splitlines()).encode("cp1252")

    assert size_of(read_fei(with_ending(fei_header()), 256, 200)) == pytest.approx((4, 4))
    zeiss = with_ending(zeiss_header(1e-9, 1024, {"AP_WIDTH": "1.024 µm"}))
    assert size_of(read_zeiss(zeiss, 1024, 768)) == pytest.approx((1, 1))
    hitachi = with_ending(TestHitachi.TEXT).decode()
    assert size_of(read_hitachi(hitachi, 1280, 960)) == (24.8, 24.8)


@pytest.mark.parametrize("left_out", ["User", "System", "Beam", "EBeam", "EScan", "PrivateFei"])
def test_fei_headers_may_lack_any_section_but_the_scan(left_out: str) -> None:
    parts = fei_header().split("[")
    text = "[".join(part for part in parts if not part.startswith(f"{left_out}]"))
    found = read_fei(text.encode(), 256, 200)
    assert size_of(found) == pytest.approx((4, 4))
    assert found is not None
    assert found.specimen_rows == (0, 200)
