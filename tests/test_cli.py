from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import napari_semnet
from napari_semnet.cli import COMMANDS, main


def in_a_fresh_interpreter(program: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"napari-semnet {name}" in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if not re.search(rf"\n    {name}\s", shown)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "command-line.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert f"## {name}\n" in page
    section = page.split(f"## {name}\n")[1].split("\n## ")[0]
    explained = section if name == "restore" else section + page.split("## restore\n")[1]
    assert {option for option in options if f"`{option}`" not in explained} == set()


def test_a_wrong_command_line_ends_with_status_2() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["polish"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    "command",
    [
        ["methods", ""],
        ["methods", "a_semnet-x2.ome.tif", "-o", ""],
        ["demo", "--no-viewer", "-o", ""],
        ["bench", "--json", ""],
        ["models", "import", ""],
    ],
)
def test_an_empty_name_is_refused_where_a_file_or_folder_is_meant(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    # As where a variable of the shell is not set: it would mean the folder that one is in.
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert "'' names nothing" in capsys.readouterr().err


def test_the_module_is_the_same_program() -> None:
    command = [sys.executable, "-m", "napari_semnet", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == f"napari-semnet {napari_semnet.__version__}\n"


def test_importing_the_package_or_asking_for_help_loads_nothing_heavy() -> None:
    shown = in_a_fresh_interpreter(
        "import sys, napari_semnet.cli as cli\n"
        "cli.build_parser().format_help()\n"
        "print(sorted({'torch', 'qtpy', 'napari', 'numpy', 'rich', 'scipy'} & set(sys.modules)))"
    )
    assert shown.strip() == "[]"
