"""What a dask worker does beside restoring."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("distributed")
from napari_semnet.restoration.cluster_worker import keep_to_cores

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems keep no thread to a core"
)


def cores_of(worker: int, count: int) -> set[int]:
    """Ask in a thread of its own, which is kept to cores apart from others."""

    def ask() -> set[int]:
        keep_to_cores(worker, count)
        with ThreadPoolExecutor(1) as started:
            return started.submit(os.sched_getaffinity, 0).result()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ask).result()


@pytest.mark.parametrize("count", [1, 2])
def test_workers_share_out_the_cores_and_their_threads_stay_there(count) -> None:
    here = os.sched_getaffinity(0)
    workers = max(1, len(here) // count)
    shares = [cores_of(worker, min(count, len(here))) for worker in range(workers)]
    assert all(share <= here for share in shares)
    assert sum(map(len, shares)) == len(set().union(*shares))
    assert os.sched_getaffinity(0) == here


def test_more_workers_than_cores_go_round() -> None:
    assert cores_of(len(os.sched_getaffinity(0)), 1) == cores_of(0, 1)
