"""``python -m napari_semnet`` is the command ``napari-semnet``."""

from napari_semnet.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
