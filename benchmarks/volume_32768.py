"""Restore 32768 x 32768 pixels from disk to disk: how much memory, and whether kills change a byte.

The command line is run as a user runs it, in a process of its own, and that process with all its
children is watched. A reduced network stands in for time; what it reads,
keeps and writes is what any network does, and a tile of the real one takes at most 1 GiB more by
its own budget. The picture repeats a real piece or noise, so that it compresses as badly as real
ones do.

    python benchmarks/volume_32768.py [--side 32768] [--kills 3] [--folder DIR] [--model FILE]

`--kills` kills a second run so often (SIGKILL, at random moments), goes on, and compares every
file of the two results.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

BAR_GB = 2.0
CHUNK = 1024
_LEVELS = 16
"""Grey levels that a chunk of a result has at least, as what the smallest network gives."""


class Watch:
    """Peak of the resident memory of a process and all its children, in bytes.

    On Linux each process's own record of its peak, which misses nothing; elsewhere looked at four
    times a second. Pages that processes share are counted for each, so this is never too little.
    """

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._process = psutil.Process(pid)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                everyone = [self._process, *self._process.children(recursive=True)]
                self.peak = max(self.peak, sum(map(most_resident, everyone)))
                time.sleep(0.25)
        except psutil.Error:
            return


def most_resident(process: psutil.Process) -> int:
    """Bytes of memory that a process has had at most, or has now where nobody keeps count."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return int(process.memory_info().rss)
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def make_model(path: Path) -> None:
    """Write the smallest network that still reaches beyond a tile, with random weights."""
    import torch

    from napari_semnet.model import Card, save_model
    from napari_semnet.network import Architecture, SEMNet

    torch.manual_seed(0)
    architecture = Architecture(features=2, growth=2, blocks=1, rdb_per_block=1, conv_per_rdb=2)
    network = SEMNet(architecture)
    with torch.no_grad():
        # Its weights alone may give black everywhere, of which Zarr writes no chunk.
        network.last.bias.fill_(0.5)
    save_model(path, network, Card(name="smallest", architecture=architecture))


def make_picture(path: Path, side: int) -> None:
    """Write noise over slow waves as a Zarr array: 16 different chunks, again and again."""
    import zarr

    array = zarr.create_array(str(path), shape=(side, side), chunks=(CHUNK, CHUNK), dtype="uint8")
    generator = np.random.default_rng(0)
    y, x = np.ogrid[:CHUNK, :CHUNK]
    files: list[bytes] = []
    count = -(-side // CHUNK)
    for number in range(count * count):
        row, column = divmod(number, count)
        if len(files) < 16:
            waves = 128 + 60 * np.sin(y / 90) * np.cos(x / 130)
            piece = (waves + generator.normal(0, 12, (CHUNK, CHUNK))).clip(0, 255)
            place = (
                slice(row * CHUNK, (row + 1) * CHUNK),
                slice(column * CHUNK, (column + 1) * CHUNK),
            )
            height, width = array[place].shape
            array[place] = piece.astype(np.uint8)[:height, :width]
            files.append((path / "c" / str(row) / str(column)).read_bytes())
        else:
            # Not in step with the rows, so that no two neighbourhoods are the same for long.
            target = path / "c" / str(row) / str(column)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files[(row * 7 + column * 3 + number // 11) % len(files)])


def start(source: Path, target: Path, model: Path, more: list[str]) -> subprocess.Popen[str]:
    """Start the command line."""
    command = [sys.executable, "-m", "napari_semnet", "restore", str(source), "-o", str(target)]
    options = ["--model", str(model), "--json", *more]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)


def follow(
    process: subprocess.Popen[str], until: int | None = None, watch: Watch | None = None
) -> tuple[int, int]:
    """Read events to the end, or until so many blocks are done; give blocks done and all."""
    done = total = 0
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        total = event.get("total_tiles", total)
        if event["event"] == "block_written":
            done = event["done"]
            if watch is not None and done % 256 == 0:
                print(f"{done} of {total} blocks, {watch.peak / 1e9:.3f} GB so far", flush=True)
            if until is not None and done >= until:
                break
        if event["event"] == "file_failed":
            raise SystemExit(event["reason"])
    return done, total


def same_files(one: Path, other: Path) -> tuple[int, list[str]]:
    """Compare all files but the group's own metadata, which holds the date."""

    def names(folder: Path) -> set[str]:
        files = (p for p in folder.rglob("*") if p.is_file() and p.parent != folder)
        return {str(p.relative_to(folder)) for p in files}

    both = names(one) | names(other)
    differing = [
        name
        for name in sorted(both)
        if not ((one / name).exists() and (other / name).exists())
        or (one / name).read_bytes() != (other / name).read_bytes()
    ]
    return len(both), differing


def check_pixels(result: Path, side: int) -> None:
    """Refuse to go on with a result that was not written as chunks of many grey levels."""
    import zarr

    chunks = [p for p in (result / "0" / "c").rglob("*") if p.is_file()]
    pixels = zarr.open_array(str(result / "0"), mode="r")
    expected = math.prod(-(-2 * side // length) for length in pixels.chunks)
    if pixels.shape != (2 * side, 2 * side) or len(chunks) != expected:
        raise SystemExit(f"{len(chunks)} of {expected} chunks of {pixels.shape} were written.")
    sample = pixels[:CHUNK, :CHUNK]
    levels = len(np.unique(sample))
    if levels < _LEVELS:
        raise SystemExit(f"{levels} grey levels are no picture of waves and noise.")


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=32768)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; needs 12 GB for 32768")
    parser.add_argument("--model", type=Path, help="by default the smallest network")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("rest", nargs="*", help="more options of restore, after --")
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="volume-", dir=arguments.folder))
    try:
        result = measure(work, arguments)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(json.dumps(result, indent=1))
    verdict = "less" if result["peak_gb"] < BAR_GB else "MORE"
    print(f"{result['peak_gb']} GB resident at the peak: {verdict} than {BAR_GB:g} GB")
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = f"volume_{arguments.side}.json"
    (arguments.out / name).write_text(json.dumps(result, indent=1) + "\n")


def measure(work: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Restore once and watch; restore again with kills and compare."""
    model = arguments.model or work / "smallest.safetensors"
    if arguments.model is None:
        make_model(model)
    source = work / "in.zarr"
    make_picture(source, arguments.side)
    began = time.perf_counter()
    process = start(source, work / "once.zarr", model, arguments.rest)
    watch = Watch(process.pid)
    _, total = follow(process, watch=watch)
    process.wait()
    result: dict[str, object] = {
        "side": arguments.side,
        "dtype": "uint8",
        "blocks": total,
        "peak_gb": round(watch.peak / 1e9, 3),
        "seconds": round(time.perf_counter() - began, 1),
        "exit_status": process.returncode,
    }
    print(json.dumps(result), flush=True)
    check_pixels(work / "once.zarr", arguments.side)
    if not arguments.kills:
        return result
    moments = random.Random(0)
    marks = sorted(moments.sample(range(1, total), arguments.kills))
    killed_at, peaks = [], []
    for mark in [*marks, None]:
        process = start(source, work / "killed.zarr", model, arguments.rest)
        watch = Watch(process.pid)
        done, _ = follow(process, mark)
        if mark is not None:
            time.sleep(moments.uniform(0, 0.5))
            process.kill()
            killed_at.append(done)
        process.communicate()
        peaks.append(round(watch.peak / 1e9, 3))
        print(f"run ended after {done} blocks, {peaks[-1]} GB at the peak", flush=True)
    files, differing = same_files(work / "once.zarr", work / "killed.zarr")
    return result | {
        "killed_after_blocks": killed_at,
        "peaks_of_the_killed_runs_gb": peaks,
        "files_compared": files,
        "files_that_differ": differing,
    }


if __name__ == "__main__":
    main()
