"""Headers of SEM vendors, a module a family.

Each gives a pure function from a tag's bytes or a sidecar's text to `Findings`, or None where
the content is not the vendor's. None of them raises on malformed content.
"""
