"""Connecting to a dask scheduler."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("distributed")

from napari_semnet.restoration.cluster import worker_cluster


def test_a_scheduler_is_found_where_a_loop_runs_already_as_in_a_notebook() -> None:
    from distributed import LocalCluster

    async def addressed(address: str) -> str:
        with worker_cluster(scheduler=address) as client:
            return str(client.scheduler.address)

    with LocalCluster(n_workers=0, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        assert asyncio.run(addressed(address)) == address
