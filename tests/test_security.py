"""Nothing in the package can run code from a file, start a shell, or reach the network."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_semnet

PACKAGE = Path(napari_semnet.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

MODULES = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"),
    *("yaml", "code", "codeop", "runpy", "ctypes"),
    *("urllib", "http", "socket", "ftplib", "requests", "httpx", "aiohttp"),
    *("huggingface_hub", "pooch", "gdown", "wget"),
}
"""Packages that run what they read, or that reach the network."""

CALLS = {
    *("eval", "exec", "compile", "__import__", "breakpoint"),
    *("os.system", "os.popen", "os.execv", "os.execvp", "os.spawnl", "os.startfile"),
    *("subprocess.getoutput", "subprocess.getstatusoutput"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "numpy.fromregex"),
    *("shutil.unpack_archive", "tempfile.mktemp"),
}
METHODS = {"extractall", "load_state_dict_from_url", "read_pickle"}
KEYWORDS = {"shell", "allow_pickle", "trust_remote_code"}
OTHER_XML = ("xml.dom", "xml.sax", "lxml")
XML_CALLS = {"fromstring", "iterparse", "XMLParser", "XMLPullParser"}
LIBRARY_CALLER = PACKAGE / "files" / "exchange.py"
"""Calls one function of the system's own C library, for which Python has none, with two names; it
loads no library that a file could name."""
XML_READER = PACKAGE / "files" / "xml.py"


def faults(source: str, path: Path) -> Iterator[str]:
    """What a source file does that it must not."""
    for node in ast.walk(ast.parse(source)):
        for name in _imported(node):
            if name == "ctypes" and path == LIBRARY_CALLER:
                continue
            if name.split(".")[0] in MODULES:
                yield f"{path.name}:{node.lineno} imports {name}"  # type: ignore[attr-defined]
            if name.startswith(OTHER_XML):
                yield f"{path.name}:{node.lineno} imports {name}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).replace("np.", "numpy.")
            if called in CALLS or called.split(".")[-1] in METHODS:
                yield f"{path.name}:{node.lineno} calls {called}"
            if called.split(".")[-1] in XML_CALLS and path != XML_READER:
                yield f"{path.name}:{node.lineno} parses XML by itself"
            for keyword in node.keywords:
                is_off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in KEYWORDS and not is_off:
                    yield f"{path.name}:{node.lineno} passes {keyword.arg}"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        module = node.module or ""
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return []


def test_the_one_caller_of_the_c_library_loads_no_other() -> None:
    loads = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(LIBRARY_CALLER.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("DLL", "LoadLibrary"))
    ]
    assert loads == ["ctypes.CDLL(None)"]


def test_no_source_file_runs_what_it_reads_or_reaches_the_network() -> None:
    assert len(SOURCES) > 100
    found = (faults(path.read_text(encoding="utf-8"), path) for path in SOURCES)
    assert [fault for of_file in found for fault in of_file] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('a.pt')",
        "import numpy as np\nnp.load('a.npy', allow_pickle=True)",
        "eval('1')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import os\nos.system('ls')",
        "from urllib.request import urlopen",
        "import xml.etree.ElementTree as ET\nET.fromstring('<a/>')",
        "from xml.dom import minidom",
        "import zipfile\nzipfile.ZipFile('a').extractall()",
        "import yaml",
    ],
)
def test_the_search_finds_what_it_looks_for(source: str) -> None:
    assert len(list(faults(source, Path("made_up.py")))) >= 1


def test_nothing_but_sources_weights_and_settings_is_shipped() -> None:
    shipped = (p for p in PACKAGE.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    assert {p.suffix for p in shipped if p.name != "py.typed"} <= {
        *(".py", ".yaml", ".toml", ".safetensors", ".json")
    }
