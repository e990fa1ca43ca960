"""Pixels and what they mean: intensity ranges, 2x geometry, quality figures, specimens."""
