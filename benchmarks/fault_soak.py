"""Let faults happen at random moments, and count what is lost, half-written, or not said.

    python benchmarks/fault_soak.py --minutes 5 --seed 1

Restores single pictures, batches and (with zarr) volumes, and trains, each time with a fault:
killed, stopped by Ctrl-C, a disk that is full, memory that runs out, a source or a model that is
exchanged, the same job twice. After each fault every file that is there is opened and compared
with what an undisturbed run writes; then the same command runs again, and must end as that run
did. As root on Linux the disk is a small one of its own, and really full.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from napari_semnet.cli import main as command_line
from napari_semnet.errors import SemnetError
from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.reader import read_image
from napari_semnet.files.writer import write_tiff
from napari_semnet.imaging.phantom import acquire, particles
from napari_semnet.model import Card, load_model, save_model
from napari_semnet.network import Architecture, SEMNet

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.training.processes import write
from tests.training.runs import small_config

NETWORK = Architecture(features=12, growth=6, blocks=1, rdb_per_block=2, conv_per_rdb=3)
DISK = 3 * 2**20
PROPER_ENDS = {0, 1, 130}
FAULTS = (
    "killed",
    "Ctrl-C",
    "disk full",
    "no memory",
    "source exchanged",
    "model exchanged",
    "twice",
)


@dataclass
class Score:
    """What happened."""

    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    met: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Tries in which the fault really came before the end of the job."""
    lost: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)


class World:
    """Sources, a place for results, and what an undisturbed run makes of them."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.folder, self.out = folder, folder / "out"
        self.model, self.other = folder / "model.safetensors", folder / "other.safetensors"
        for number, path in enumerate((self.model, self.other)):
            torch.manual_seed(number)
            save_model(path, SEMNet(NETWORK), Card(name="soak", architecture=NETWORK))
        self.pictures = folder / "in"
        for n in range(3):
            picture = acquire(particles((128, 160), n), seed=n)
            write_tiff(self.pictures / f"{n}.tif", picture, pixel_size_nm=(4, 4))
        stack = np.stack([acquire(particles((96, 96), n), seed=n) for n in range(4)])
        apart(
            lambda: write_ome_zarr(folder / "stack.zarr", stack, pixel_size_nm=(4, 4), z_step_nm=8)
        )
        config = small_config(
            folder / "training",
            steps=40,
            intervals={"log": 5, "evaluate": 10, "preview": 20, "checkpoint": 3},
        )
        self.config = write(config, folder / "run.toml")
        self.out.mkdir()
        engine = ["--model", str(self.model), "--device", "cpu", "--tile", "32", "--quiet"]
        single, stacked = self.pictures / "0.tif", folder / "stack.zarr"
        self.jobs: dict[str, Callable[[Path], list[str]]] = {
            "restore": lambda out: ["restore", str(single), "-o", str(out / "one.tif"), *engine],
            "batch": lambda out: ["restore", str(self.pictures), "-o", str(out), *engine],
            "train": self._training,
        }
        if "volume" in _commands():
            self.jobs["stream"] = lambda out: [
                *("restore", str(stacked), "-o", str(out / "stack.zarr"), *engine)
            ]
        self.expected = {job: self._undisturbed(job) for job in self.jobs}
        self.sources = {p: p.read_bytes() for p in folder.rglob("*") if self._is_source(p)}
        self.has_disk = self._mount()

    def _training(self, out: Path) -> list[str]:
        run = out / "run"
        resume = ["--resume"] if (run / "checkpoints" / "last.safetensors").exists() else []
        return ["train", str(self.config), "-o", str(run), *resume]

    def _is_source(self, path: Path) -> bool:
        outside = (self.out, self.folder / "training" / "store", self.folder / "expected")
        return path.is_file() and not any(path.is_relative_to(folder) for folder in outside)

    def _mount(self) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.out)]
        is_linux = sys.platform == "linux" and os.geteuid() == 0
        return is_linux and subprocess.run(command, check=False).returncode == 0

    def close(self) -> None:
        """Let go of the disk."""
        if self.has_disk:
            subprocess.run(["umount", "-l", str(self.out)], check=False)

    def _undisturbed(self, job: str) -> dict[str, object]:
        out = self.folder / "expected" / job
        out.mkdir(parents=True)
        found: dict[str, object] = apart(lambda: self._done(job, out))
        return found

    def _done(self, job: str, out: Path) -> dict[str, object]:
        with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
            status = command_line(self.jobs[job](out))
        assert status == 0
        return contents(out)

    def empty(self) -> None:
        """Remove all results."""
        for path in sorted(self.out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def fill(self, room: int) -> None:
        """Fill the disk but for some bytes."""
        state = os.statvfs(self.out)
        with (self.out / "filler").open("wb") as stream:
            stream.write(bytes(max(0, state.f_bavail * state.f_frsize - room)))


def _commands() -> set[str]:
    import napari_semnet.commands as package

    return {path.stem for path in Path(package.__file__).parent.glob("*.py")}


def contents(folder: Path) -> dict[str, object]:
    """Read every finished file in a folder; raises where one is half-written."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.suffix == ".tif" and path.is_file():
            image = read_image(path)
            assert image.provenance is not None, f"{name} has no record"
            found[name] = np.asarray(image.pixels)
        elif path.name == "last.safetensors":
            found[name] = {k: v.numpy() for k, v in load_file(path).items()}
        elif path.suffix == ".safetensors":
            network = load_model(path).network
            found[name] = {k: v.numpy() for k, v in network.state_dict().items()}
        elif path.name.endswith(".json") and not path.is_relative_to(folder / "stack.zarr"):
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".zarr":
            found[name] = _volume(path)
    return found


def _volume(path: Path) -> np.ndarray:
    """Read a volume, and one that is not finished as far as it is there."""
    import zarr

    try:
        return np.asarray(read_image(path).pixels)
    except SemnetError as error:
        if "not finished" not in str(error):
            raise
        return np.asarray(zarr.open_array(path / "0", mode="r")[...])


def apart(work: Callable[[], Any]) -> Any:
    """Do something in a copy of this process, and import here what it imported there.

    Processes are made of this one by fork, so that they start at once. What reads and writes
    Zarr starts threads, which a copy would be without and wait for: this one must have none.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        before = set(sys.modules)
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised again by the other side
            result = error
        with os.fdopen(writing, "wb") as stream:
            pickle.dump((result, sorted(set(sys.modules) - before)), stream)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        result, modules = pickle.load(stream)
    os.waitpid(child, 0)
    for module in modules:
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    assert threading.active_count() == 1, threading.enumerate()
    if isinstance(result, Exception):
        raise result
    return result


def finished(found: dict[str, object], expected: dict[str, object]) -> str:
    """Say what differs from an undisturbed run; empty when nothing does."""
    for name, value in expected.items():
        if name not in found:
            return f"{name} is missing"
        one, other = (_arrays(v) for v in (found[name], value))
        if one.keys() != other.keys():
            return f"{name} holds other arrays"
        if not all(np.array_equal(one[key], other[key]) for key in one):
            return f"{name} differs"
    return ""


def spoilt_blocks(found: dict[str, object], expected: dict[str, object]) -> str:
    """Say where a volume holds what is neither finished nor missing; empty when nowhere.

    It is written in place, block by block; where there is no block yet, it reads as black.
    """
    for name, value in found.items():
        pixels, right = (np.asarray(v) for v in (value, expected[name]))
        if pixels.shape != right.shape or not ((pixels == right) | (pixels == 0)).all():
            return f"{name} holds a block that nobody wrote"
    return ""


def _arrays(value: object) -> dict[str, np.ndarray]:
    return value if isinstance(value, dict) else {"": np.asarray(value)}


def start(arguments: list[str], said: Path, memory: int = 0) -> int:
    """Run a command in a process of its own, made by fork so that it starts at once."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        with said.open("wb") as stream:
            os.dup2(stream.fileno(), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if memory:
            now = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
            resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
        status = command_line(arguments)
    except BaseException:  # noqa: BLE001 - what Python would show is shown
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def finish(child: int, said: Path | None = None) -> tuple[int, str]:
    """Wait for a process; give its status (negative for a signal)."""
    _, state = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(state), said.read_text(errors="replace") if said else ""


def disturb(world: World, job: str, fault: str, duration: float) -> tuple[bool, str]:
    """Run a job with a fault; tell whether it was met, and what was wrong with what it said."""
    chance, said = world.chance, world.folder / "said"
    moment = chance.uniform(0, duration)
    memory = 0
    if fault == "disk full":
        world.fill(chance.randrange(0, 600_000))
    if fault == "no memory":
        memory = chance.randrange(2**20, 80 * 2**20)
    child = start(world.jobs[job](world.out), said, memory)
    second = 0
    if fault in ("killed", "Ctrl-C", "source exchanged", "model exchanged", "twice"):
        time.sleep(moment)
    if fault in ("killed", "Ctrl-C"):
        os.kill(child, signal.SIGKILL if fault == "killed" else signal.SIGINT)
    if fault == "source exchanged":
        path = chance.choice(sorted(world.pictures.glob("*.tif")))
        path.write_bytes(world.sources[chance.choice(sorted(world.pictures.glob("*.tif")))])
    if fault == "model exchanged":
        world.model.write_bytes(world.other.read_bytes()[: chance.randrange(10**6)])
    if fault == "twice":
        second = start(world.jobs[job](world.out), world.folder / "said too")
    status, text = finish(child, said)
    met = status != 0
    complaint = _complaint(status, text)
    if second:
        status, text = finish(second, world.folder / "said too")
        met, complaint = met or status != 0, complaint or _complaint(status, text)
    (world.out / "filler").unlink(missing_ok=True)
    for path, content in world.sources.items():  # the exchange is undone, its results are not used
        path.write_bytes(content)
    if fault in ("source exchanged", "model exchanged"):
        met = True
    return met, complaint


def _complaint(status: int, text: str) -> str:
    if status in (-signal.SIGKILL, -signal.SIGINT):
        return ""
    if status not in PROPER_ENDS or "Traceback" in text:
        return f"status {status}: {text[-1500:]}"
    if status == 1 and not text.strip():
        return "it failed without a word"
    return ""


def check(world: World, score: Score, job: str, fault: str) -> None:
    """Open everything, complete the job, and compare."""
    label = f"{job}, {fault}"
    expected = world.expected[job]
    is_other = fault in ("source exchanged", "model exchanged")
    try:
        found = apart(lambda: contents(world.out))
        partly = {n: v for n, v in found.items() if n in expected}
        done = {n: v for n, v in expected.items() if n in partly}
        if job in ("restore", "batch") and not is_other and (wrong := finished(partly, done)):
            score.half_written.append(f"{label}: {wrong}")
        if job == "stream" and not is_other and (wrong := spoilt_blocks(partly, done)):
            score.half_written.append(f"{label}: {wrong}")
    except (SemnetError, OSError, ValueError, AssertionError) as error:
        score.half_written.append(f"{label}: {error}")
    if is_other:
        world.empty()  # what came of another source or model is right, but not what is expected
    status, said = finish(
        start(world.jobs[job](world.out), world.folder / "said"), world.folder / "said"
    )
    if status != 0:
        score.lost.append(f"{label}: the same command again ended with {status}: {said[-500:]}")
    elif wrong := finished(apart(lambda: contents(world.out)), expected):
        score.lost.append(f"{label}: {wrong}")
    if left := list(world.out.rglob(".writing-*")):
        score.half_written.append(f"{label}: {left[0].name} was left")
    world.empty()


def main() -> int:
    """Run for some minutes, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the counts as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    score = Score()
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        world = World(Path(scratch), random.Random(arguments.seed))
        try:
            faults = [f for f in FAULTS if world.has_disk or f != "disk full"]
            durations = {}
            for job in world.jobs:
                began = time.monotonic()
                finish(start(world.jobs[job](world.out), world.folder / "said"))
                durations[job] = time.monotonic() - began
                world.empty()
            began = time.monotonic()
            while (passed := (time.monotonic() - began) / 60) < arguments.minutes:
                keep(arguments.out, score, list(world.jobs), passed, arguments.seed)
                job, fault = world.chance.choice(list(world.jobs)), world.chance.choice(faults)
                met, complaint = disturb(world, job, fault, durations[job])
                score.tries[job, fault] += 1
                score.met[job, fault] += met
                if complaint:
                    score.unsaid.append(f"{job}, {fault}: {complaint}")
                check(world, score, job, fault)
        finally:
            world.close()
    keep(arguments.out, score, list(world.jobs), passed, arguments.seed)
    return show(score, list(world.jobs))


def keep(path: Path | None, score: Score, jobs: list[str], minutes: float, seed: int) -> None:
    """Write the counts so far, where they are wanted."""
    if path is None:
        return
    told = {
        "minutes": round(minutes, 1),
        "seed": seed,
        "jobs": jobs,
        "faults": {
            fault: {job: (score.met[job, fault], score.tries[job, fault]) for job in jobs}
            for fault in FAULTS
        },
        "tries": sum(score.tries.values()),
        "met": sum(score.met.values()),
        "lost": score.lost,
        "half_written": score.half_written,
        "unsaid": score.unsaid,
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def show(score: Score, jobs: list[str]) -> int:
    """Print the table of faults, and everything that went wrong."""
    print("| Fault |" + "".join(f" {job} |" for job in jobs))
    print("|---|" + "---|" * len(jobs))
    for fault in FAULTS:
        cells = (f" {score.met[job, fault]} of {score.tries[job, fault]} |" for job in jobs)
        print(f"| {fault} |" + "".join(cells))
    total, met = sum(score.tries.values()), sum(score.met.values())
    print(f"\n{total} tries, {met} met their fault: ", end="")
    print(f"{len(score.lost)} lost, {len(score.half_written)} half-written, ", end="")
    print(f"{len(score.unsaid)} not said in a sentence")
    for problem in (*score.lost, *score.half_written, *score.unsaid):
        print(f"- {problem}")
    return 1 if score.lost or score.half_written or score.unsaid else 0


if __name__ == "__main__":
    raise SystemExit(main())
