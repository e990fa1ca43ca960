"""Read XML from files of unknown origin, and keep out of it what it cannot hold.

A document type definition is what lets a few bytes of XML expand to gigabytes or pull in other
files. No microscope needs one, so a text that has one is not parsed at all; that keeps the
standard library's parser safe without another dependency.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

__all__ = ["find", "find_text", "local_name", "parse_xml", "xml_text"]

_LARGEST = 2**23
_NO_TEXT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORBIDDEN = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


def parse_xml(content: bytes | str) -> ElementTree.Element | None:
    """Parse XML without a document type definition; None for anything else.

    Parameters
    ----------
    content : bytes or str
        UTF-8, UTF-16 or Latin-1; a text is taken to be decoded already, whatever its
        declaration says. What precedes the first ``<`` and follows the last ``>`` is ignored.
    """
    if len(content) > _LARGEST:
        return None
    text = _decoded(content) if isinstance(content, bytes) else content
    text = text[text.find("<") : text.rfind(">") + 1]
    # The declaration names an encoding that no longer applies to a decoded text.
    text = re.sub(r"\A<\?xml[^>]*\?>", "", text)
    if not text or _FORBIDDEN.search(text):
        return None
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError):
        return None


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def xml_text(text: str) -> str:
    r"""Escape what no XML can hold: control characters, and bytes that were no text.

    Examples
    --------
    >>> xml_text("a < b\x01")
    'a < b\\x01'
    """
    return _NO_TEXT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def local_name(element: ElementTree.Element) -> str:
    """Name of an element without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def find(element: ElementTree.Element, name: str) -> ElementTree.Element | None:
    """First descendant of a name, whatever its namespace."""
    return next((e for e in element.iter() if local_name(e) == name), None)


def find_text(element: ElementTree.Element | None, name: str, unit: str = "") -> str:
    """Text of the first descendant of a name, with its unit; empty where there is none.

    Parameters
    ----------
    element : Element or None
        Where to look.
    name : str
        See `find`.
    unit : str
        Name of the attribute that holds the unit, if it is to follow.
    """
    found = None if element is None else find(element, name)
    text = "" if found is None else (found.text or "").strip()
    if found is None or not text:
        return ""
    return f"{text} {found.get(unit, '')}".strip()
