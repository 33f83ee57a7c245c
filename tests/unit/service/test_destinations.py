"""Deliveries: what is asked for, what each becomes, and that a conversion never waits for one."""

import pytest
from service_doubles import Index, Queue

from orthanc_mask2seg.addresses import Destination, DestinationKind
from orthanc_mask2seg.errors import ArchiveBusy, ConfigurationError, NotInArchive
from orthanc_mask2seg.jobs.port import JobRequest, RunAgain
from orthanc_mask2seg.service.destinations import Deliveries
from orthanc_mask2seg.service.dispatch import Dispatch

PEER = Destination(kind=DestinationKind.PEER, name="second")
NODE = Destination(kind=DestinationKind.MODALITY, name="node")
REQUEST = JobRequest(series_key="mask", series_instance_uid="1.2", study_instance_uid="1.3", version="7")


class Orthanc(Index):
    def __init__(self, fault=None):
        super().__init__()
        self.fault_of_forward = fault
        self.sent = []

    def forward(self, kind, name, instance):
        if self.fault_of_forward is not None:
            raise self.fault_of_forward
        self.sent.append((kind, name, instance))

    def knows_destination(self, kind, name):
        return (kind, name) == (DestinationKind.PEER, "second")


def document(outcome="converted", uid="2.25.1"):
    return {"outcome": outcome, "outputs": [{"sop_instance_uid": uid, "orthanc_id": f"id-{uid}"}]}


def test_each_output_goes_to_each_destination_once():
    queue, archive = Queue(), Orthanc()
    run = Deliveries(archive, [PEER, NODE], 5.0).wrap(lambda _request: document(), queue)
    run(REQUEST)
    run(REQUEST)  # again, after a sudden end
    assert len(queue.jobs) == 2
    for job in queue.jobs.values():
        assert run(job.request)["outcome"] == "delivered"
    assert sorted(archive.sent) == [("modality", "node", "id-2.25.1"), ("peer", "second", "id-2.25.1")]


def test_another_segmentation_is_another_delivery_and_no_conversion():
    deliveries = Deliveries(Orthanc(), [PEER], 5.0)
    (first,) = deliveries.orders(REQUEST, document())
    (other,) = deliveries.orders(REQUEST, document(uid="2.25.2"))
    (again,) = deliveries.orders(JobRequest(**{**REQUEST.document(), "version": "8"}), document())
    assert first.key == again.key != other.key
    assert REQUEST.key not in {first.key, other.key}
    assert JobRequest.of(first.document()) == first


@pytest.mark.parametrize("answer", [document("refused"), document("skipped"), RunAgain(delay_seconds=1.0)])
def test_nothing_else_is_delivered(answer):
    queue = Queue()
    assert Deliveries(Orthanc(), [PEER], 5.0).wrap(lambda _request: answer, queue)(REQUEST) is answer
    assert queue.jobs == {}


def delivered(destination, fault):
    deliveries = Deliveries(Orthanc(fault), [destination], 5.0)
    (order,) = deliveries.orders(REQUEST, document())
    return deliveries.deliver(order)


def test_what_passes_is_left_to_the_queue():
    with pytest.raises(ArchiveBusy, match="peer:second: full"):
        delivered(PEER, ArchiveBusy("full"))


def test_a_segmentation_that_is_gone_is_skipped_and_an_unknown_name_is_said():
    assert delivered(PEER, NotInArchive("gone"))["reason"] == "deleted"
    with pytest.raises(ConfigurationError, match="node"):
        delivered(NODE, NotInArchive("no such node"))


def test_a_destination_that_was_removed_is_said():
    (order,) = Deliveries(Orthanc(), [PEER], 5.0).orders(REQUEST, document())
    with pytest.raises(ConfigurationError, match="second"):
        Deliveries(Orthanc(), [], 5.0).deliver(order)


def test_the_end_of_a_delivery_is_not_the_end_of_its_mask():
    class Untouched:
        def versions(self):
            return {}

    (order,) = Deliveries(Orthanc(), [PEER], 5.0).orders(REQUEST, document())
    dispatch = Dispatch(Index(), Untouched(), Queue(), None)
    dispatch.job_ended(order, {"outcome": "delivered"})  # neither the ledger nor the counters are asked
