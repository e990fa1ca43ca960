"""The only room where napari and Qt live: gather choices, show results."""
