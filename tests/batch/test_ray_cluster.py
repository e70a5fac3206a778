"""Each image once, though a machine of the cluster is lost."""

from __future__ import annotations

import pytest

from defectvision.batch import inspecting
from defectvision.batch.crew import Crew
from defectvision.batch.ray_crew import ray_crews
from defectvision.limits import Limits
from defectvision.store import batches
from defectvision.store.batches import Engine
from defectvision.store.tables import ImageState
from tests.stand_ins.claimed_batches import Place, counts
from tests.stand_ins.ray_lots import DONE, IMAGES, count_written, lot, start, together, work


@pytest.mark.slow
@pytest.mark.soak  # test_workers_of_machines.py loses a machine without Ray
def test_each_image_is_inspected_once_though_a_machine_is_lost(
    weights, tmp_path, monkeypatch, caplog
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: requirements-ray.txt")
    from ray.cluster_utils import Cluster

    together(monkeypatch, 2)
    store = Place(tmp_path, "").open()
    number = start(store, weights, lot(tmp_path / "lot"), Engine.RAY)
    written = count_written(monkeypatch)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    machines = {one.node_id: one for one in (cluster.add_node(num_cpus=1) for _ in range(2))}
    ask, crews, lost = inspecting.Inspecting._ask, [], []

    def kill(self: inspecting.Inspecting) -> None:
        ask(self)
        if len(written) >= 8 and not lost:
            lost.extend(place.node for place in crews[-1]._places if place.chunks)
            cluster.remove_node(machines[lost[0]], allow_graceful=False)

    monkeypatch.setattr(inspecting.Inspecting, "_ask", kill)
    try:
        with ray_crews(cluster.address, Limits()) as crew_of:

            def of(*given) -> Crew:
                crews.append(crew_of(*given))
                return crews[-1]

            work(store, weights, number, of)
    finally:
        cluster.shutdown()
    assert "is gone" in caplog.text
    assert counts(store, number) == DONE
    assert set(written.values()) == {1} and len(written) == IMAGES
    with store.reading() as session:
        for row in batches.images_in(session, number, ImageState.DONE):
            assert store.files.is_whole(row.record)
