from __future__ import annotations

from pathlib import Path

from napari_semnet.training.profile_choice import named_profile


def test_a_profile_may_begin_with_a_mark_of_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "lab.toml"
    path.write_text('name = "lab"\n[[chains]]\nbits = [8]', encoding="utf-8-sig")
    assert named_profile(str(path)).name == "lab"
