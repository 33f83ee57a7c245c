"""A real service tells a real web server what became of a mask, once, and signs it."""

from __future__ import annotations

import json
from pathlib import Path

from orthanc_server import OrthancServer

from orthanc_mask2seg.notify.channels import signature
from tests.builders import study, to_bytes
from tests.integration.test_serve import Service
from tests.unit.notify.servers import Hooks, web

SECRET = "a secret of the site"


def test_a_conversion_is_told_once(tmp_path: Path, orthanc: OrthancServer) -> None:
    hooks, made = Hooks(answers=[503, 200]), study()
    for data in (*made.image, *made.mask):
        data.PatientName = "Canary^Patient"
        orthanc.post("/instances", to_bytes(data))
    with web(hooks) as url:
        service = Service(tmp_path, orthanc, Webhooks=[url], WebhookSecret=SECRET, NotifyOn=["converted", "refused"])
        service.start()
        try:
            hooks.wait(2, 60)
        finally:
            assert service.end() == 0
    bodies = {body for _, body in hooks.got}
    assert len(bodies) == 1, "tried again after the 503, and nothing else was told"
    [body] = bodies
    told = json.loads(body)
    assert (told["event"], told["series_instance_uid"]) == ("converted", str(made.mask[0].SeriesInstanceUID))
    assert told["job"] == service.jobs()[0]["id"]
    headers = hooks.got[-1][0]
    assert headers["x-mask2seg-signature"] == f"sha256={signature(SECRET, headers['x-mask2seg-timestamp'], body)}"
    assert b"Canary" not in body
    assert SECRET not in service.said()
    assert "secret-path" not in service.said()
