"""``napari-semnet restore``: restore files, folders of files and patterns of names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_semnet.commands import values
from napari_semnet.commands.engine import add_engine_options, restorer_from
from napari_semnet.errors import SemnetError

if TYPE_CHECKING:
    from napari_semnet.commands.events import BatchEnded, BatchEvent
    from napari_semnet.commands.jobs import Entry, Job
    from napari_semnet.commands.queue import Queue
    from napari_semnet.commands.reporting import Reporter
    from napari_semnet.commands.volume import VolumeChoices
    from napari_semnet.files.replay import Replay

__all__ = ["add_parser", "run"]

_OF_THE_RECORD = (
    "device",
    "precision",
    "tile",
    "halo",
    "intensity",
    "non_finite",
    "strength",
    "pixel_size",
)
"""Choices that a repeated run takes from its record."""
_SETTLE = 5.0
"""Seconds after which an image that has not changed is taken for complete."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``restore`` to the command line."""
    parser = commands.add_parser(
        "restore",
        help="denoise images and double their pixels",
        description=(
            "Denoise images and double their pixels each way. Writes calibrated OME-TIFFs that "
            "say how they were made; the images themselves are never changed."
        ),
    )
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="*",
        type=values.name,
        help="file, folder of images, or pattern (*.tif)",
    )
    parser.add_argument(
        "--from",
        dest="record",
        metavar="RECORD",
        type=values.path,
        help="repeat the run of a result's .semnet.json file; all choices come from there",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="folder for the results, or for one image the name of its result (.tif, or .zarr for "
        "what no memory holds); with --from, by default a new file beside the record",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="restore again what is there already"
    )
    parser.add_argument(
        "--rows",
        type=values.rows,
        metavar="FIRST-LAST",
        help="rows of INPUT that show the specimen, counted from 0, or 'all'; by default what the "
        "file tells or shows (napari-semnet inspect)",
    )
    parser.add_argument(
        "--pixel-size",
        type=values.pixel_size,
        metavar="SIZE",
        help="size of a pixel of INPUT with its unit: 5nm, or 5x4nm (YxX); by default the file's",
    )
    telling = parser.add_mutually_exclusive_group()
    telling.add_argument("--quiet", action="store_true", help="say only what failed")
    telling.add_argument(
        "--json", action="store_true", help="say everything as JSON, one object a line"
    )
    _add_trust_options(parser)
    add_engine_options(parser)
    _add_queue_options(parser)
    _add_volume_options(parser)
    parser.set_defaults(run=_checked(parser))


def _add_trust_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("trust")
    group.add_argument(
        "--trust",
        action="store_true",
        help="hold each result against its image, and write what was found as NAME.trust.json",
    )
    group.add_argument(
        "--sensitivity",
        action="store_true",
        help="with that, map how much the result depends on chance: eight more restorations",
    )


def _add_queue_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("queue", "How many images are worked off.")
    group.add_argument(
        "--report",
        type=values.path,
        metavar="FILE.csv",
        help="keep a table of what became of each image",
    )
    group.add_argument(
        "--retries",
        type=values.tries,
        default=0,
        metavar="N",
        help="try again so often, after the others, where disk, memory or device failed",
    )
    group.add_argument(
        "--watch",
        action="store_true",
        help="wait for new images in INPUT until Ctrl-C, such as those of a running microscope",
    )
    group.add_argument(
        "--settle",
        type=values.seconds,
        metavar="S",
        help="with --watch: seconds for which an image must not have changed "
        f"(default: {_SETTLE:g})",
    )


def _add_volume_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "volumes", "Who restores an OME-Zarr result, which is written block by block."
    )
    who = group.add_mutually_exclusive_group()
    who.add_argument(
        "--shard",
        type=values.part,
        default=(1, 1),
        metavar="I/N",
        help="restore part I of N, counted from 1, while other processes restore the others; of "
        "several images every N-th",
    )
    who.add_argument(
        "--workers",
        type=values.processes,
        default=0,
        metavar="N",
        help="start N processes on this machine",
    )
    who.add_argument(
        "--scheduler",
        default="",
        metavar="ADDRESS",
        help="let the workers of this dask scheduler restore, such as tcp://node1:8786",
    )


def _checked(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Refuse combinations that argparse cannot express, then `run`."""
    default_of = parser.get_default

    def run_checked(arguments: argparse.Namespace) -> int:
        from napari_semnet.commands import jobs

        if arguments.record is None and not (arguments.inputs and arguments.output):
            parser.error("give INPUT and -o OUT, or --from RECORD")
        if arguments.record is not None and (arguments.inputs or arguments.rows):
            parser.error("--from repeats one run; it takes no INPUT and no --rows")
        chosen = [name for name in _OF_THE_RECORD if vars(arguments)[name] != default_of(name)]
        if arguments.record is not None and chosen:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in chosen)
            parser.error(f"--from takes all choices from the record; leave out {options}")
        if arguments.watch and (arguments.record is not None or arguments.overwrite):
            parser.error("--watch restores what has no result yet; it takes no --from, --overwrite")
        if arguments.watch and jobs.names_one_result(arguments.output):
            parser.error(
                f"--watch restores many images, and {arguments.output} is one file; give a folder"
            )
        if arguments.settle is not None and not arguments.watch:
            parser.error("--settle says when a new image of --watch is complete; add --watch")
        if arguments.overwrite and arguments.shard[1] > 1:
            parser.error(
                "--overwrite would remove what the other parts have done; remove OUT first"
            )
        return run(arguments)

    return run_checked


def run(arguments: argparse.Namespace) -> int:
    """Restore all inputs; 0 when none failed, else 1."""
    from napari_semnet.commands import queue, replay, volume, watching
    from napari_semnet.restoration.worker_start import load_ahead

    job, again, compared = None, None, None
    if arguments.record is not None:
        job, again = replay.find_job(arguments.record, arguments.output)
        compared = partial(replay.compare, record=arguments.record, again=again)
    choices = volume.VolumeChoices(
        arguments.shard, arguments.workers, arguments.scheduler, arguments.overwrite
    )
    find, work = partial(_entries, arguments, job), _work(arguments, again, choices)
    if arguments.watch:
        _check_report(arguments.report, [])
        settle = _SETTLE if arguments.settle is None else arguments.settle
        events = watching.watch_inputs(arguments.inputs, find, work, settle)
        table = queue.Queue()
    else:
        entries = find()
        _check_report(arguments.report, entries)
        _check_workers(choices, entries)
        if choices.workers:
            load_ahead(*volume.LOADED)
        events, table = work(entries), queue.Queue(entries)
    with _reporter(arguments) as report, queue.csv_report(arguments.report, table) as changed:
        tell = partial(_tell, report=report, table=table, changed=changed, compared=compared)
        ended = _tell_all(events, tell, is_watching=arguments.watch)
    return 1 if ended.failed else 0


def _entries(arguments: argparse.Namespace, repeated: Job | None) -> list[Entry]:
    """Find what is to be restored now: the run that is repeated, or what the inputs mean."""
    from napari_semnet.commands import jobs

    entries: list[Entry] = [repeated] if repeated is not None else []
    if repeated is None:
        entries = jobs.find_jobs(
            arguments.inputs, arguments.output, arguments.rows, arguments.pixel_size
        )
    entries = jobs.share_files(entries, *arguments.shard)
    return entries if arguments.overwrite else jobs.skip_existing(entries)


def _work(
    arguments: argparse.Namespace, again: Replay | None, choices: VolumeChoices
) -> Callable[[Sequence[Entry]], Generator[BatchEvent, None, None]]:
    """Give what restores files as the command line, or the record, asks for."""
    from napari_semnet.commands import batch, judging, replay

    prepare = partial(restorer_from, arguments)
    if again is not None:
        prepare = partial(replay.prepare, again, arguments.model)
    wants_checks = arguments.trust or arguments.sensitivity
    return partial(
        batch.restore_files,
        prepare=cache(prepare),
        checks=judging.Checks(arguments.sensitivity) if wants_checks else None,
        volumes=choices,
        retries=arguments.retries,
    )


def _reporter(arguments: argparse.Namespace) -> AbstractContextManager[Reporter]:
    from napari_semnet.commands import reporting

    if arguments.json:
        return reporting.json_lines()
    return reporting.only_failures() if arguments.quiet else reporting.progress_display()


def _tell(
    event: BatchEvent,
    report: Reporter,
    table: Queue,
    changed: Callable[[], None],
    compared: Callable[[Path], str] | None,
) -> None:
    """Pass an event on to the display and the table; say how a repeated result turned out."""
    from napari_semnet.commands.events import FileWritten
    from napari_semnet.restoration.events import Notice

    report(event)
    if table.take(event):
        changed()
    if compared is not None and isinstance(event, FileWritten):
        report(Notice(compared(event.target)))


def _tell_all(
    events: Generator[BatchEvent, None, None], tell: Callable[[BatchEvent], None], is_watching: bool
) -> BatchEnded:
    """Tell what happens until the end, which is the last event."""
    from napari_semnet.commands.events import BatchEnded

    event: BatchEvent | None = None
    try:
        for event in events:
            tell(event)
    except KeyboardInterrupt as stop:
        if not is_watching:
            raise
        # It came while an event was told, not between two of them: watching ends all the same.
        event = events.throw(stop)
        tell(event)
    assert isinstance(event, BatchEnded), "A batch ends with BatchEnded."
    return event


def _check_report(report: Path | None, entries: Sequence[Entry]) -> None:
    """Refuse a report in the place of a picture."""
    from napari_semnet.commands.jobs import Job, is_picture_name

    if report is None:
        return
    jobs = [entry for entry in entries if isinstance(entry, Job)]
    taken = {path.resolve() for job in jobs for path in (job.source, job.target)}
    if is_picture_name(report) or report.resolve() in taken:
        raise SemnetError(
            f"The report is a table, and {report.name} is the name of a picture. Give a name that "
            "ends in .csv."
        )


def _check_workers(choices: VolumeChoices, entries: Sequence[Entry]) -> None:
    """Refuse to start workers for what is not restored in blocks."""
    from napari_semnet.commands.jobs import Job, is_volume

    several = bool(choices.workers or choices.scheduler)
    found = [entry for entry in entries if isinstance(entry, Job)]
    if several and found and not any(is_volume(job.target) for job in found):
        raise SemnetError(
            "--workers and --scheduler restore the blocks of a volume. Give -o OUT.zarr, or leave "
            "them out."
        )
