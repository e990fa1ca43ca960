"""What two worker processes gain on one machine, and what a volume on disk costs beside computing.

A real picture is mirrored to the size of a volume's slices. Each turn works it off in all ways of a
part, one after the other, and every second turn in the opposite order; only ways of the same turn
are compared.

workers
    The command line as a user runs it, alone and with `--workers`, from start to end. All files of
    the results but the group's own metadata, which holds the date, are compared. Workers take
    memory in large pages, which a process must be told to before it starts; so one process that
    was told is measured as well.
pinning
    Tiles computed by two threads at once, each with a network of its own, with the setting
    ENABLE_CPU_PINNING that the engine gives to OpenVINO, and with OpenVINO's default.
disk
    Blocks restored from disk to disk, and the same from memory without being written. Seconds of
    processor time are given as well, which tell more where others use the machine.

    python benchmarks/volume_workers.py PICTURE [--part workers] [--slices 1] [--turns 1]

Turns are added to those of earlier runs on the same volume with the same model. Seconds can be
compared only where nothing else uses the machine: the load beside each turn tells. On a busy one
only processor time and bytes say something.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from napari_semnet.files.ome_zarr import write_ome_zarr
from napari_semnet.files.provenance import Provenance
from napari_semnet.files.reader import read_image
from napari_semnet.model import load_model
from napari_semnet.restoration.openvino_network import OpenVINONetwork
from napari_semnet.restoration.restorer import Restorer
from napari_semnet.restoration.runtime import compute_alone, describe_device
from napari_semnet.restoration.volume_run import VolumeRun
from napari_semnet.restoration.volumes import begin_volume

PLANE = (1536, 2048)
"""Pixels (Y, X) of a slice: more than two blocks each way, so that it is cut into 3 x 4."""
AT_ONCE = 2
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
Turn = dict[str, dict[str, Any]]


def volume(picture: NDArray[np.uint8], slices: int) -> NDArray[np.uint8]:
    """Mirror a picture to slices that differ from each other, (Z, Y, X)."""
    more = [
        (0, max(0, want + slices - have)) for want, have in zip(PLANE, picture.shape, strict=True)
    ]
    wide = np.pad(picture, more, mode="symmetric")
    return np.stack([wide[z : z + PLANE[0], z : z + PLANE[1]] for z in range(slices)])


def run_command(
    source: Path, target: Path, options: list[str], variables: dict[str, str]
) -> dict[str, Any]:
    """Restore by the command line, with variables of the environment; give what took how long.

    `seconds` is all, from the start of the program to its end. `starting` is what goes by
    before blocks are worked off at the pace that they are later: all but the blocks, at the
    pace of those after the first two, and what follows the last one.
    """
    command = [sys.executable, "-m", "napari_semnet", "restore", str(source), "-o", str(target)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--device", "cpu", "--json", *options],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )
    assert process.stdout is not None
    blocks: list[float] = []
    worked: dict[int, float] = {}
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] in ("block_written", "file_written"):
            worked |= processor_seconds(process.pid)
        if event["event"] == "block_written":
            blocks.append(time.perf_counter() - began)
        if event["event"] == "file_failed":
            raise SystemExit(event["reason"])
        if event["event"] == "batch_ended":
            break  # What workers are copied from may hold the pipe a moment longer.
    if process.wait():
        raise SystemExit(f"The command ended with {process.returncode}.")
    whole = time.perf_counter() - began
    a_block = (blocks[-1] - blocks[AT_ONCE - 1]) / (len(blocks) - AT_ONCE)
    return {
        "seconds": round(whole, 2),
        "processor_seconds": round(sum(worked.values()), 2),
        "seconds_a_block": round(a_block, 3),
        "starting": round(blocks[-1] - len(blocks) * a_block, 2),
        "ending": round(whole - blocks[-1], 2),
        "blocks": len(blocks),
    }


def processor_seconds(pid: int) -> dict[int, float]:
    """Processor time so far of a program and of all that it has started, by their numbers.

    Workers are copies of a process between them and the program, which does not wait for them, so
    that the system does not add up their times.
    """
    found = {}
    with suppress(psutil.NoSuchProcess):
        program = psutil.Process(pid)
        for one in (program, *program.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                found[one.pid] = times.user + times.system
    return found


def differing(one: Path, other: Path) -> tuple[int, int]:
    """Compare all files but the group's own metadata; give how many there are, and differ."""

    def files(folder: Path) -> dict[str, bytes]:
        found = (p for p in folder.rglob("*") if p.is_file() and p.parent != folder)
        return {str(p.relative_to(folder)): p.read_bytes() for p in found}

    first, second = files(one), files(other)
    names = first.keys() | second.keys()
    return len(names), sum(first.get(name) != second.get(name) for name in names)


def with_workers(work: Path, source: Path, arguments: argparse.Namespace, backwards: bool) -> Turn:
    """One turn of the command line, alone and with two workers."""
    model = ["--model", arguments.model]
    ways = {
        "alone": (model, {}),
        "two workers": ([*model, "--workers", str(AT_ONCE)], {}),
        "alone, large pages": (model, LARGE_PAGES),
    }
    targets = {name: work / f"{name.replace(' ', '-')}.zarr" for name in ways}
    turn = in_turn(
        {name: lambda n=name: run_command(source, targets[n], *ways[n]) for name in ways}, backwards
    )
    alone, two, large = (turn[name] for name in ways)
    files, differ = differing(targets["alone"], targets["two workers"])
    turn["compared"] = {
        "throughput_of_two_workers": ratio(alone["seconds"], two["seconds"]),
        "without_starting_and_ending": ratio(alone["seconds_a_block"], two["seconds_a_block"]),
        "processor_seconds_alone_beside_two": ratio(
            alone["processor_seconds"], two["processor_seconds"]
        ),
        "throughput_of_two_workers_beside_large_pages": ratio(large["seconds"], two["seconds"]),
        "files": files,
        "files_that_differ": differ,
    }
    return turn


class DefaultPinning:
    """OpenVINO's core, which is not told whether to pin its threads."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def compile_model(self, graph: Any, device: str, settings: dict[str, Any]) -> Any:
        """Compile without that setting."""
        others = {name: value for name, value in settings.items() if name != "ENABLE_CPU_PINNING"}
        return self._core.compile_model(graph, device, others)


def pinned(_: Path, source: Path, arguments: argparse.Namespace, backwards: bool) -> Turn:
    """One turn of tiles by two threads at once, with and without OpenVINO's default."""
    network = load_model(arguments.model).network.eval()
    side = np.asarray(read_image(source).pixels[0, :224, :224], dtype=np.float32) / 255
    tile = torch.from_numpy(np.ascontiguousarray(side))[None, None]
    dtype = torch.bfloat16 if describe_device("cpu").precision == "bf16" else torch.float32
    meeting = threading.Barrier(AT_ONCE)

    def tiles(computing: OpenVINONetwork, count: int) -> None:
        compute_alone()
        meeting.wait()
        for _ in range(count):
            steps = computing.steps(tile)
            with suppress(StopIteration):
                while True:
                    next(steps)

    def timed(networks: list[OpenVINONetwork]) -> dict[str, Any]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(tiles, networks, [1] * AT_ONCE))  # Compiles, and wakes all threads.
            began = time.perf_counter()
            list(pool.map(tiles, networks, [arguments.tiles] * AT_ONCE))
            return {"seconds": round(time.perf_counter() - began, 3), "tiles": arguments.tiles}

    def networks(default: bool) -> list[OpenVINONetwork]:
        made = [OpenVINONetwork(network, torch.device("cpu"), dtype) for _ in range(AT_ONCE)]
        for one in made if default else ():
            one._core = DefaultPinning(one._core)
        return made

    turn = in_turn(
        {
            "not pinned": lambda: timed(networks(False)),
            "OpenVINO's default": lambda: timed(networks(True)),
        },
        backwards,
    )
    default, ours = turn["OpenVINO's default"], turn["not pinned"]
    turn["compared"] = {"throughput_not_pinned": ratio(default["seconds"], ours["seconds"])}
    return turn


def with_disk(work: Path, source: Path, arguments: argparse.Namespace, backwards: bool) -> Turn:
    """One turn from disk to disk, and from memory to nowhere."""
    restorer = Restorer(arguments.model)
    lazy = read_image(source).pixels
    spent = {"reading": 0.0, "writing": 0.0}

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*given)
            finally:
                spent[name] += time.perf_counter() - began

        return timed

    def begun(pixels: Any, name: str) -> VolumeRun:
        run = begin_volume(restorer, pixels, work / f"{name}.zarr", axes="ZYX")
        for _ in run.work_off(range(AT_ONCE), 0, AT_ONCE):  # Each network compiles its tiles.
            pass
        return run

    def timed(run: VolumeRun, finish: bool) -> dict[str, Any]:
        began, worked = time.perf_counter(), time.process_time()
        numbers = range(AT_ONCE, len(run.grid))
        for _ in run.work_off(numbers, AT_ONCE, len(run.grid)):
            pass
        if finish:
            for _ in run.finish(Provenance(source="benchmark")):
                pass
        return {
            "seconds": round(time.perf_counter() - began, 2),
            "processor_seconds": round(time.process_time() - worked, 2),
            "blocks": len(numbers),
        }

    def disk() -> dict[str, Any]:
        run = begun(lazy, "disk")
        # Threads read one at a time and write beside each other: sums of what each took.
        run._work.read = counted("reading", run._work.read)
        run.store.write = counted("writing", run.store.write)
        spent.update(reading=0.0, writing=0.0)
        return timed(run, True) | {name: round(value, 2) for name, value in spent.items()}

    def memory() -> dict[str, Any]:
        run = begun(np.asarray(lazy), "memory")
        run.store.write = lambda *_: None
        return timed(run, False)

    turn = in_turn({"disk to disk": disk, "in memory": memory}, backwards)
    whole, alone = turn["disk to disk"], turn["in memory"]
    turn["compared"] = {
        "seconds_of_disk_beside_memory": ratio(whole["seconds"], alone["seconds"]),
        "processor_seconds_of_disk_beside_memory": ratio(
            whole["processor_seconds"], alone["processor_seconds"]
        ),
        "reading_and_writing_of_all_thread_seconds": ratio(
            whole["reading"] + whole["writing"], AT_ONCE * whole["seconds"]
        ),
    }
    return turn


PARTS = {"workers": with_workers, "pinning": pinned, "disk": with_disk}


def in_turn(ways: dict[str, Callable[[], dict[str, Any]]], backwards: bool) -> Turn:
    """Go through all ways in their order or the opposite one; give them in theirs."""
    done = {}
    for name in reversed(ways) if backwards else ways:
        done[name] = ways[name]()
        print(f"{name}: {json.dumps(done[name])}", flush=True)
    return {name: done[name] for name in ways}


def ratio(one: float, other: float) -> float:
    """Divide, to three digits."""
    return round(one / other, 3)


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--part", choices=PARTS, default="workers")
    parser.add_argument("--model", default="semnet-x2")
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--tiles", type=int, default=10, help="for each thread (pinning)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    pixels = volume(np.asarray(read_image(arguments.picture).pixels), arguments.slices)
    result: dict[str, Any] = {
        "device": describe_device("cpu").name,
        "threads": torch.get_num_threads(),
        "model": arguments.model,
        "picture": arguments.picture.name,
        "shape": list(pixels.shape),
        "turns": [],
    }
    file = arguments.out / f"volume_{arguments.part}.json"
    if file.exists():
        before = json.loads(file.read_text())
        if before | {"turns": []} == result:
            result = before
    for _ in range(arguments.turns):
        backwards = len(result["turns"]) % 2 == 1
        load = round(os.getloadavg()[0], 1)
        with tempfile.TemporaryDirectory(prefix="workers-") as folder:
            source = write_ome_zarr(Path(folder) / "in.zarr", pixels, pixel_size_nm=(5.0, 5.0))
            turn = PARTS[arguments.part](Path(folder), source, arguments, backwards)
        turn["compared"]["load_before_and_after"] = [load, round(os.getloadavg()[0], 1)]
        result["turns"].append(turn)
        print(json.dumps(turn["compared"]), flush=True)
        arguments.out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
