"""One module per command of ``napari-semnet``; each gives `add_parser` and `run`."""
