"""Are the tests able to fail? Change the code a little, many times, and see what they catch.

    pip install mutmut
    python benchmarks/mutation.py --sample 45 --seed 2026

Mutates a copy of the tree with mutmut, which runs the tests that reach the changed function. With
``--sample N`` it tries N mutants of each file, drawn with the seed; without, all of them. Prints
a line for each file, writes the survivors as patches beside the copy, and ends with the share
that was killed. Tests that hold for all inputs try 15 in place of 100, and the slowest ones are
left out, so the share is a lower bound.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
SOURCE = "src/napari_semnet"
TESTS: dict[str, tuple[str, ...]] = {
    "restoration/tiles.py": ("tests/restoration/test_tiles.py",),
    "training/losses.py": ("tests/training/test_losses.py",),
    "training/degradation.py": ("tests/training/test_degradation.py",),
    "imaging/geometry.py": ("tests/imaging/test_geometry.py", "tests/files/test_layers.py"),
    "imaging/intensity.py": ("tests/imaging/test_intensity.py",),
    "imaging/agreement.py": ("tests/imaging/test_agreement.py",),
    "imaging/comparison.py": ("tests/imaging/test_comparison.py",),
    "imaging/fourier_ring.py": ("tests/imaging/test_fourier_ring.py",),
    "imaging/panels.py": ("tests/imaging/test_panels.py",),
    "imaging/patterns.py": ("tests/imaging/test_patterns.py",),
    "imaging/phantom.py": ("tests/imaging/test_phantom.py",),
    "imaging/plane.py": ("tests/imaging/test_plane.py",),
    "imaging/profiles.py": ("tests/imaging/test_profiles.py",),
    "imaging/quality.py": ("tests/imaging/test_quality.py",),
    "imaging/regions.py": ("tests/imaging/test_regions.py",),
    "imaging/registration.py": ("tests/imaging/test_registration.py",),
    "imaging/spectra.py": ("tests/imaging/test_spectra.py",),
}
"""Files to mutate, and the tests that have to notice."""

SLOWEST = (
    "tests/training/test_degradation.py::test_the_result_does_not_depend_on_the_number_of_threads",
    "tests/training/test_degradation.py::test_a_batch_split_over_processes_gives_the_same_bits",
    "tests/imaging/test_geometry.py::test_napari_layers_put_in_place_have_the_same_corners",
    "tests/files/test_layers.py::TestInNapari",
)

CONFIGURATION = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {files}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = {options}
process_isolation = "forkserver"
use_git_change_detection = false
# Generous: on a busy machine a test that is only slow must not count as one that noticed.
timeout_multiplier = 60.0
timeout_constant = 120.0
"""
SURVIVED, UNTESTED, TIMEOUT = 0, 33, 36


def copy_tree(folder: Path, files: list[str]) -> None:
    """Put the tracked files into a folder, with a configuration of mutmut."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((REPOSITORY / name).read_bytes())
    tests = sorted({test for file in files for test in TESTS[file]})
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as stream:
        stream.write(
            CONFIGURATION.format(
                files=json.dumps([f"{SOURCE}/{file}" for file in files]),
                tests=json.dumps(tests),
                options=json.dumps([f"--deselect={test}" for test in SLOWEST]),
            )
        )


def mutants_of(folder: Path, file: str) -> list[str]:
    """Names of all mutants of a file."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    path = f"{SOURCE}/{file}"
    module = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
    mutated = mutate_file_contents(path, (folder / path).read_text(encoding="utf-8"))
    return [f"{module}.{name}" for name in sorted(mutated.mutant_names)]


def main() -> int:
    """Mutate, test, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", default=list(TESTS), help="such as imaging/geometry.py")
    parser.add_argument("--sample", type=int, help="mutants of each file; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    copy_tree(folder, arguments.files)
    chance = random.Random(arguments.seed)
    chosen: dict[str, list[str]] = {}
    for file in arguments.files:
        names = mutants_of(folder, file)
        count = len(names) if arguments.sample is None else min(len(names), arguments.sample)
        chosen[file] = chance.sample(names, count)
        print(f"{file}: {count} of {len(names)} mutants", flush=True)
    wanted = [name for names in chosen.values() for name in names]
    chance.shuffle(wanted)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "quick"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(arguments.processes)]
    with (folder / "mutmut.log").open("w") as log:
        print(f"working in {folder}", flush=True)
        subprocess.run([*command, *wanted], cwd=folder, env=environment, stdout=log, check=False)
    return report(folder, chosen, environment)


def report(folder: Path, chosen: dict[str, list[str]], environment: dict[str, str]) -> int:
    """Print the table, and write down what survived."""
    killed = tried = 0
    survivors: list[str] = []
    for file, names in chosen.items():
        meta = json.loads((folder / f"mutants/{SOURCE}/{file}.meta").read_text(encoding="utf-8"))
        codes = {name: meta["exit_code_by_key"].get(name) for name in names}
        done = {name: code for name, code in codes.items() if code is not None}
        alive = [name for name, code in done.items() if code in (SURVIVED, UNTESTED)]
        late = sum(code == TIMEOUT for code in done.values())
        killed, tried = killed + len(done) - len(alive), tried + len(done)
        survivors += alive
        share = 100 * (1 - len(alive) / len(done)) if done else float("nan")
        print(f"{file}: {len(done)} tried, {len(alive)} survived, {late} by time: {share:.0f} %")
    with (folder / "survivors.txt").open("w", encoding="utf-8") as stream:
        for name in survivors:
            show = [sys.executable, "-m", "mutmut", "show", name]
            shown = subprocess.run(
                show, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            stream.write(f"{name}\n{shown.stdout}\n")
    share = 100 * killed / tried if tried else float("nan")
    print(f"{killed} of {tried} killed, {share:.1f} %; survivors in {folder / 'survivors.txt'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
