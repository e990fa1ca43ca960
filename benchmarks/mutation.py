"""Are the tests able to fail? Change the code a little, many times, and see what they catch.

    pip install mutmut
    python benchmarks/mutation.py                      # 30 mutants of each file
    python benchmarks/mutation.py imaging/quality.py --sample 0   # all of one file
    python benchmarks/mutation.py --again              # only what survived, after adding tests

mutmut writes the mutants. A fixed, seeded number of each file is tried. Torch and the tests are
imported once and each mutant is tried in a copy of that process (fork), by the tests that reach
the changed function, the quickest first, until one fails. What is known is kept, so that the
command can be stopped and goes on; it forgets a file's mutants when the file changes.

Mutants that change nothing but the words of an error are not counted. Tests that hold for all
inputs try 15 in place of 100, and the slowest tests are left out, so the share is a lower bound.
The figures are written to ``benchmarks/results/mutation.json``, the survivors are printed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import importlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results" / "mutation.json"
SOURCE = "src/napari_semnet"
FURTHER_TESTS: dict[str, tuple[str, ...]] = {
    "restoration/tiles.py": ("restoration/test_border.py",),
    "training/degradation.py": ("training/test_noise.py", "training/test_filters.py"),
    "imaging/geometry.py": ("files/test_layers.py",),
    "imaging/drawing.py": ("imaging/test_phantom.py",),
    "imaging/methods_figure.py": ("commands/test_methods.py",),
    "imaging/noise_measurement.py": ("imaging/test_noise_level.py", "imaging/test_consistency.py"),
    "imaging/noise_correlation.py": ("imaging/test_noise_level.py", "imaging/test_consistency.py"),
    "imaging/noise_table.py": ("imaging/test_noise_level.py", "imaging/test_consistency.py"),
    "imaging/noise_level.py": ("imaging/test_consistency.py", "imaging/test_input_check.py"),
    "imaging/whiteness.py": ("imaging/test_consistency.py",),
}
"""Tests that look at a file beside those that are named after it."""
EXPLAINED: tuple[tuple[str, str], ...] = (
    (r",? strict=\w+", "the lengths are equal: a check of the code on itself"),
    (r"torch\.autocast\(.*\):", "autocast leaves these operations alone"),
    (r"max_nfev=\d+|p0=\w+", "a fit that may go on or begins elsewhere ends alike"),
    (r", mode='reflect'", "it is scipy's own border"),
    (r"(asarray\([^(),]*), (?:float|None|np\.float64)(?=\))", "what follows makes it a float"),
    (r", copy=False", "a copy where none is needed"),
    (r"step = max\(.*_BAND_PIXELS.*|stride = .*", "how much is looked at, or at once"),
    (r"(?<=sigma\)), dtype=np\.float64", "what is given is of this type already"),
    (r"np\.full\(LAGS, (?:np\.inf|None)\)", "both compare as unknown"),
    (r"// 32 % 2 == [01]$", "which of the two halves is called the first"),
    (r"np\.all\((parameters\.scale == 1|None)\)", "a short cut that is not taken"),
)
"""What mutants change that nobody can tell by the result: only this differs. They do not count."""
SLOWEST = (
    "test_the_result_does_not_depend_on_the_number_of_threads",
    "test_napari_layers_put_in_place_have_the_same_corners",
    "TestInNapari",
)
OPTIONS = (
    "-q",
    *("-p", "no:cacheprovider"),
    *("--no-xvfb", "--no-header", "--capture=no", "--timeout=60"),
)
MEMORY = 4 * 2**30
SECONDS_OVER, TIMES_OVER = 10, 10
"""A mutant may compute this much longer than the tests do that it is tried with."""


def files_to_mutate() -> list[str]:
    """Name the files that must not be wrong unnoticed."""
    imaging = sorted((REPOSITORY / SOURCE / "imaging").glob("[!_]*.py"))
    return [
        "restoration/tiles.py",
        *(f"imaging/{path.name}" for path in imaging),
        "training/degradation.py",
        "training/losses.py",
    ]


def tests_of(file: str) -> list[str]:
    """Name the tests that have to notice."""
    room, name = file.split("/")
    named = [f"{room}/test_{name}", *FURTHER_TESTS.get(file, ())]
    return [f"tests/{test}" for test in named if (REPOSITORY / "tests" / test).is_file()]


class Mutants:
    """All mutants of one file."""

    def __init__(self, file: str) -> None:
        from mutmut.mutation.file_mutation import mutate_file_contents

        text = (REPOSITORY / SOURCE / file).read_text(encoding="utf-8")
        mutated = mutate_file_contents(f"{SOURCE}/{file}", text)
        self.file, self.code = file, mutated.code
        self.key = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._functions = {
            node.name: node
            for node in ast.walk(ast.parse(self.code))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self.names = [name for name in sorted(mutated.mutant_names) if not self._only_words(name)]
        self.words = len(mutated.mutant_names) - len(self.names)

    def function(self, name: str) -> str:
        """Name of the original of a mutant."""
        return name.rpartition("__mutmut_")[0] + "__mutmut_orig"

    def _only_words(self, name: str) -> bool:
        one, other = self._functions[name], self._functions[self.function(name)]
        return _without_words(one) == _without_words(other)

    def change(self, name: str) -> str:
        """Show what a mutant changes."""
        before, after = (
            ast.unparse(self._functions[each]).replace(each, "function").splitlines()
            for each in (self.function(name), name)
        )
        lines = difflib.unified_diff(before, after, lineterm="", n=0)
        return "\n".join(f"    {line}" for line in lines if line[:3] not in ("---", "+++"))

    def chosen(self, count: int, seed: int) -> list[str]:
        """Draw some; all of them where `count` is 0. More of them begin with the same ones."""
        shuffled = list(self.names)
        random.Random(f"{seed} {self.file}").shuffle(shuffled)
        return shuffled[: count or None]


def _without_words(function: ast.AST) -> str:
    """Dump a function without what nobody can tell: its name, and what its errors say."""

    class Wordless(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            if isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
                return ast.Call(node.func, [], [])
            return self.generic_visit(node)

        def visit_Compare(self, node: ast.Compare) -> ast.AST:
            for of in node.comparators:
                if isinstance(node.ops[0], ast.In) and isinstance(of, ast.Constant):
                    # One letter is in "iu" when it is in "XXiuXX"; no letter asked for is X.
                    of.value = str(of.value).removeprefix("XX").removesuffix("XX")
            return self.generic_visit(node)

    copied = Wordless().visit(ast.parse(ast.unparse(function)).body[0])
    copied.name = ""
    return ast.dump(copied)


def explained(change: str) -> str:
    """Say why a surviving change cannot be told by the result; empty where it could."""
    lines = [line.strip() for line in change.splitlines()]
    sides = ["\n".join(line[1:] for line in lines if line[:1] == sign) for sign in "-+"]
    if sides[0] == sides[1]:
        return ""
    found = (
        why
        for pattern, why in EXPLAINED
        if len({re.sub(pattern, lambda part: "".join(part.groups()), each) for each in sides}) == 1
    )
    return next(found, "")


class Trial:
    """A plugin of pytest: instead of running the tests once, tries mutants with them."""

    def __init__(self, module: str, mutants: Mutants, names: list[str], answers: int) -> None:
        self._module, self._mutants, self._names = module, mutants, names
        self._answers = answers

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave the slowest out."""
        items[:] = [item for item in items if not any(slow in item.nodeid for slow in SLOWEST)]

    def pytest_runtestloop(self, session: Any) -> bool:
        """Run all tests once to see what they reach, then try the mutants."""
        reached = self._reached(session.items)
        # A test that fails in a copy of the process for any other reason would kill every mutant.
        everything = {test: took for tests in reached.values() for test, took in tests.items()}
        if self._try("nothing_is_changed", everything) != "survived":
            print("  the tests fail in a copy of the process: no mutant is tried", flush=True)
            return True
        for name in self._names:
            tests = reached.get(self._mutants.function(name).removesuffix("_orig"), {})
            outcome = self._try(name, tests) if tests else "survived"
            os.write(self._answers, f"{json.dumps([name, outcome])}\n".encode())
        return True

    def _reached(self, items: list[Any]) -> dict[str, dict[Any, float]]:
        """Functions, and the sound tests that reach them with their seconds of computing.

        In a copy of this process: threads that a test leaves behind would be missing in the copies
        that try mutants, and what a test has set up must not be there yet.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            with os.fdopen(writing, "w", encoding="utf-8") as answers:
                before = set(sys.modules)
                traced = _traced(items)
                answers.write(json.dumps([traced, sorted(set(sys.modules) - before)]))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as answers:
            traced, modules = json.loads(answers.read())
        os.waitpid(child, 0)
        for module in modules:  # once here, and not in each of the copies
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        assert threading.active_count() == 1, threading.enumerate()
        reached: dict[str, dict[Any, float]] = {}
        for item, (took, hits) in zip(items, traced, strict=True):
            for hit in hits:
                reached.setdefault(hit, {})[item] = took
        return reached

    def _try(self, name: str, tests: dict[Any, float]) -> str:
        import mutmut.mutation.trampoline as trampoline

        ordered = sorted(tests, key=lambda test: tests[test])
        seconds = int(TIMES_OVER * sum(tests.values()) + SECONDS_OVER)
        child = os.fork()
        if child == 0:
            try:
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
                taken = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
                resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
                trampoline.set_mutant_under_test(f"{self._module}.{name}")
                for test, following in zip(ordered, [*ordered[1:], ordered[-1]], strict=True):
                    if _fails(test, following):
                        os._exit(1)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - the copy must not go on as if it were this one
                os._exit(1)
        return "survived" if _ended(child, 20 * seconds) == 0 else "killed"


def _traced(items: list[Any]) -> list[tuple[float, list[str]]]:
    """Run tests; give for each its seconds of computing and the functions that it reaches."""
    import mutmut.mutation.trampoline as trampoline

    hits: set[str] = set()
    trampoline.record_trampoline_hit = lambda name, caller=None: hits.add(name)
    trampoline.set_mutant_under_test("stats")
    traced = []
    for item, following in zip(items, [*items[1:], None], strict=True):
        hits.clear()
        began = time.process_time()
        if _fails(item, following):
            print(f"  left out, it fails unchanged: {item.nodeid}", flush=True)
            hits.clear()
        names = [f"{hit.rpartition('.')[2]}__mutmut" for hit in hits]
        traced.append((time.process_time() - began, names))
    return traced


def _fails(item: Any, following: Any) -> bool:
    from _pytest.runner import runtestprotocol

    with Path(os.devnull).open("w") as nothing:
        shown, sys.stdout = sys.stdout, nothing
        try:
            reports = runtestprotocol(item, log=False, nextitem=following)
        finally:
            sys.stdout = shown
    return any(report.failed for report in reports)


def _ended(child: int, seconds: float) -> int:
    """Wait for a process, but not for ever: it may wait for what never comes."""
    end, pause = time.monotonic() + seconds, 0.001
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return 1


def copy_tree(folder: Path) -> None:
    """Put the files that git knows into a folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (REPOSITORY / name).is_file() and name.split("/")[0] in (
            "src",
            "tests",
            "pyproject.toml",
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((REPOSITORY / name).read_bytes())


def try_file(folder: Path, mutants: Mutants, names: list[str]) -> Iterator[tuple[str, str]]:
    """Try mutants of one file in a copy of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _in_child(folder, mutants, names, writing)
        except BaseException:  # noqa: BLE001 - as above
            traceback.print_exc()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answers:
        for line in answers:
            name, outcome = json.loads(line)
            yield name, outcome
    os.waitpid(child, 0)


def _in_child(folder: Path, mutants: Mutants, names: list[str], answers: int) -> None:
    import pytest

    os.chdir(folder)
    (folder / SOURCE / mutants.file).write_text(mutants.code, encoding="utf-8")
    sys.path[:0] = [str(folder / "src"), str(folder)]
    module = f"napari_semnet.{mutants.file.removesuffix('.py').replace('/', '.')}"
    assert str(folder) in str(importlib.import_module(module).__file__)
    pytest.main([*OPTIONS, *tests_of(mutants.file)], [Trial(module, mutants, names, answers)])


def main() -> int:
    """Mutate, test, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", help="such as imaging/geometry.py; all by default")
    parser.add_argument("--sample", type=int, default=30, help="mutants of each file; 0 for all")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--again", action="store_true", help="try what survived once more")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the figures are kept")
    arguments = parser.parse_args()
    for name in ("torch", "scipy.ndimage", "scipy.stats"):
        importlib.import_module(name)
    os.environ |= {"OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "quick"}
    os.environ.setdefault("NAPARI_SEMNET_SHARED", str(REPOSITORY.parent / "shared"))
    end = time.monotonic() + 60 * arguments.minutes
    known = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    for file in arguments.files or files_to_mutate():
        mutants = Mutants(file)
        kept = known.get(file, {})
        known_outcomes = kept.get("outcomes", {}) if kept.get("sha256") == mutants.key else {}
        outcomes = {name: each for name, each in known_outcomes.items() if name in mutants.names}
        chosen = mutants.chosen(arguments.sample, arguments.seed)
        names = [name for name in chosen if name not in outcomes]
        if arguments.again:
            names += [name for name, outcome in outcomes.items() if outcome == "survived"]
        if names and time.monotonic() < end:
            with tempfile.TemporaryDirectory(prefix="mutation-") as scratch:
                copy_tree(Path(scratch))
                for name, outcome in try_file(Path(scratch), mutants, names):
                    outcomes[name] = outcome
        survived = [name for name, outcome in outcomes.items() if outcome == "survived"]
        reasons = {name: why for name in survived if (why := explained(mutants.change(name)))}
        known[file] = {
            "mutants": len(mutants.names),
            "only_words": mutants.words,
            "tried": len(outcomes),
            "killed": len(outcomes) - len(survived),
            "explained": len(reasons),
            "sha256": mutants.key,
            "outcomes": outcomes,
        }
        arguments.out.write_text(json.dumps(known, indent=1) + "\n")
        print(f"{file}: {len(outcomes) - len(survived)} of {len(outcomes)} killed", flush=True)
        for name in survived:
            print(f"  {name} {reasons.get(name, '')}\n{mutants.change(name)}", flush=True)
    tried, killed, alike = (
        sum(each[key] for each in known.values()) for key in ("tried", "killed", "explained")
    )
    share = 100 * killed / max(tried - alike, 1)
    print(f"{killed} of {tried} killed, {alike} survivors explained, {share:.1f} % of the others")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
