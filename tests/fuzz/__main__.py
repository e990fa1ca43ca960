"""Feed a target with hostile inputs: ``python -m tests.fuzz TARGET [--count N] [--engine E]``.

Prints one line of JSON: how many were tried, the slowest, the growth in memory, and the faults.
Inputs that fail are kept in ``tests/fuzz/found/TARGET``, where the suite tries them for ever.
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

SECONDS = 5
"""Of computing; whoever else uses the machine does not count."""
MEMORY = 2**30
FOUND = Path(__file__).parent / "found"


class Hanging(BaseException):
    """An input took longer than `SECONDS`."""


class Watch:
    """Tries inputs, and writes down what goes wrong with them."""

    def __init__(self, target: str, folder: Path) -> None:
        from tests.fuzz.targets import TARGETS

        self.name, self._feed, self._folder = target, TARGETS[target].feed, folder
        self.tried, self.slowest, self.faults = 0, 0.0, dict[str, str]()
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
        self.slowest = max(self.slowest, time.process_time() - began)

    def _keep(self, content: bytes, error: BaseException) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
        if place in self.faults:
            return
        folder = FOUND / self.name
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(content).hexdigest()[:12]
        (folder / name).write_bytes(content)
        self.faults[place] = f"{error!s:.200} ({folder / name})"
        traceback.print_exception(error)

    def report(self, engine: str) -> None:
        """Say how it went."""
        growth = (_peak() - self._memory) / 2**20
        told = {
            "target": self.name,
            "engine": engine,
            "inputs": self.tried,
            "slowest_s": round(self.slowest, 2),
            "memory_growth_mib": round(growth),
            "faults": self.faults,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


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
    """Run one target."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", help="see tests/fuzz/targets.py; 'all' tells their names")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
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
    if arguments.target == "all":
        sys.stdout.write("\n".join(TARGETS) + "\n")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "work"
        folder.mkdir()
        seeds = TARGETS[arguments.target].seeds(folder)
        watch = Watch(arguments.target, folder)
        for content in seeds.values():
            watch.try_it(content)
        _limit_memory()
        if arguments.engine == "atheris":
            return _with_atheris(watch, seeds, arguments, Path(scratch))
        _with_own(watch, seeds, arguments)
        watch.report("own")
        return 1 if watch.faults else 0


def _with_own(watch: Watch, seeds: dict[str, bytes], arguments: argparse.Namespace) -> None:
    import napari_semnet
    from tests.files.fuzzing import Fuzzer

    package = str(Path(napari_semnet.__file__).parent)
    Fuzzer(seeds, package, arguments.seed).run(
        lambda _, content: watch.try_it(content), arguments.count, float("inf")
    )


def _with_atheris(
    watch: Watch, seeds: dict[str, bytes], arguments: argparse.Namespace, scratch: Path
) -> int:
    """Let libFuzzer look for inputs that reach new code; it ends the process, so in a child."""
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
    child = os.fork()
    if child == 0:

        def try_until_enough(content: bytes) -> None:
            watch.try_it(content)
            if watch.tried >= arguments.count:
                watch.report("atheris")
                os._exit(1 if watch.faults else 0)

        atheris.Setup(["fuzz", *options, str(corpus)], try_until_enough)
        atheris.Fuzz()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        watch.faults["the process was ended"] = f"by signal {os.WTERMSIG(status)}"
        watch.report("atheris")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    raise SystemExit(main())
