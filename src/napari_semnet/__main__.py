"""``python -m napari_semnet`` is the command ``napari-semnet``."""

from napari_semnet.cli import program

if __name__ == "__main__":
    raise SystemExit(program())
