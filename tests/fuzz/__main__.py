"""Feed targets with hostile inputs: ``python -m tests.fuzz TARGET... [--count N] [--engine E]``.

``all`` takes every target, ``list`` names them. Prints one line of JSON for each: how many inputs
were tried, seconds of computing in all and of the slowest, memory, and the faults. With ``--out
FILE`` these lines are also kept there, one for each target. Inputs that fail are kept in
``tests/fuzz/found/TARGET``, where the suite tries them for ever.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

SECONDS = 5
"""Of computing; whoever else uses the machine does not count."""
MEMORY = 2**30
FOUND = Path(__file__).parent / "found"


class Hanging(BaseException):
    """An input took longer than `SECONDS`."""


class Watch:
    """Tries inputs, and writes down what goes wrong with them."""

    def __init__(self, target: str, engine: str, folder: Path) -> None:
        from tests.fuzz.targets import TARGETS

        self.name, self._feed, self._folder = target, TARGETS[target].feed, folder
        self._engine = engine
        self.tried, self.seconds, self.slowest = 0, 0.0, 0.0
        self.faults = dict[str, str]()
        self._memory = _peak()
        signal.signal(signal.SIGPROF, _too_long)

    def try_it(self, content: bytes) -> None:
        """Feed one input."""
        self.tried += 1
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            self._feed(content, self._folder)
        except (Exception, Hanging) as error:  # noqa: BLE001 - whatever it is, it is a fault
            self._keep(content, error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        took = time.process_time() - began
        self.seconds, self.slowest = self.seconds + took, max(self.slowest, took)

    def _keep(self, content: bytes, error: BaseException) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
        if place in self.faults:
            return
        folder = FOUND / self.name
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(content).hexdigest()[:12]
        (folder / name).write_bytes(content)
        self.faults[place] = f"{error!s:.200} ({name})"
        traceback.print_exception(error)

    def report(self) -> dict[str, Any]:
        """Say how it went."""
        peak = _peak()
        return {
            "target": self.name,
            "engine": self._engine,
            "inputs": self.tried,
            "seconds": round(self.seconds, 1),
            "slowest_s": round(self.slowest, 2),
            "peak_memory_mib": round(peak / 2**20),
            "memory_growth_mib": round((peak - self._memory) / 2**20),
            "faults": self.faults,
        }


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _too_long(number: int, frame: FrameType | None) -> None:
    raise Hanging(f"took more than {SECONDS} s")


def _limit_memory() -> None:
    """Let what takes a gigabyte more than now fail at once."""
    pages = Path("/proc/self/statm")
    if pages.is_file():
        now = int(pages.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))


def main() -> int:
    """Run targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="see tests/fuzz/targets.py")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the lines here")
    has_atheris = importlib.util.find_spec("atheris") is not None
    parser.add_argument(
        "--engine", choices=("atheris", "own"), default="atheris" if has_atheris else "own"
    )
    arguments = parser.parse_args()
    faulthandler.enable()
    if arguments.engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["napari_semnet", "tifffile", "tomllib"]):
            from tests.fuzz.targets import TARGETS
    else:
        from tests.fuzz.targets import TARGETS
    if arguments.targets == ["list"]:
        sys.stdout.write("\n".join(TARGETS) + "\n")
        return 0
    has_faults = False
    for target in TARGETS if arguments.targets == ["all"] else arguments.targets:
        told = _in_a_process(target, arguments)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        if arguments.out is not None:
            _remember(told, arguments.out)
        has_faults |= bool(told["faults"])
    return 1 if has_faults else 0


def _remember(told: dict[str, Any], path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = {told["target"]: told for told in map(json.loads, lines)} | {told["target"]: told}
    path.write_text("".join(json.dumps(known[name]) + "\n" for name in sorted(known)))


def _in_a_process(target: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one target in a copy of this process; libFuzzer ends the process that it ran in."""
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "said.json"
        child = os.fork()
        if child == 0:
            try:
                _fuzz(target, arguments, Path(scratch), said)
            except BaseException:  # noqa: BLE001 - the copy must not go on as if it were this one
                traceback.print_exc()
            os._exit(1)
        _, status = os.waitpid(child, 0)
        if said.exists():
            told: dict[str, Any] = json.loads(said.read_text())
            return told
    code = os.waitstatus_to_exitcode(status)
    return {"target": target, "faults": {"the process was ended": f"with {code}"}}


def _fuzz(target: str, arguments: argparse.Namespace, scratch: Path, said: Path) -> None:
    from tests.fuzz.targets import TARGETS

    folder = scratch / "work"
    folder.mkdir()
    # Made here and not in the process copied: some start threads, which a copy has not.
    seeds = TARGETS[target].seeds(folder)
    watch = Watch(target, arguments.engine, folder)

    def finish() -> None:
        said.write_text(json.dumps(watch.report()))
        os._exit(0)

    for content in seeds.values():
        watch.try_it(content)
    _limit_memory()
    if arguments.engine == "own":
        import napari_semnet
        from tests.files.fuzzing import Fuzzer

        Fuzzer(seeds, str(Path(napari_semnet.__file__).parent), arguments.seed).run(
            lambda _, content: watch.try_it(content), arguments.count, float("inf")
        )
        finish()

    def try_until_enough(content: bytes) -> None:
        watch.try_it(content)
        if watch.tried >= arguments.count:
            finish()

    import atheris

    corpus = scratch / "corpus"
    corpus.mkdir()
    for number, content in enumerate(seeds.values()):
        (corpus / str(number)).write_bytes(content)
    options = [
        f"-runs={10 * arguments.count}",
        f"-seed={arguments.seed + 1}",
        "-timeout=86400",  # on the clock; `Watch` counts seconds of computing
        f"-artifact_prefix={scratch}/",
        "-rss_limit_mb=0",
        "-max_len=20000",
        "-verbosity=0",
    ]
    atheris.Setup(["fuzz", *options, str(corpus)], try_until_enough)
    atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main())
