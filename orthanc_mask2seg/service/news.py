"""What is worth telling: how jobs ended, that the service is paused or stands still, and that this is over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import StateError
from orthanc_mask2seg.jobs.alarms import Alarm
from orthanc_mask2seg.jobs.port import JobRequest, Jobs, JobState
from orthanc_mask2seg.notify.channels import Channel, Mail, Webhook
from orthanc_mask2seg.notify.message import Body, Event, Message
from orthanc_mask2seg.notify.notifier import Notifier

LOOK_SECONDS = 5.0
_OF_OUTCOMES = {"converted": Event.CONVERTED, "refused": Event.REFUSED, "failed": Event.FAILED}

_log = logging.getLogger(__name__)

NoteEnd = Callable[[JobRequest, dict[str, Any]], None]


def notifier_of(settings: Settings) -> Notifier:
    """Whom the settings name, with nobody where they name none."""
    body = Body(settings.webhook_template)
    channels: list[Channel] = [Webhook(url=url, secret=settings.webhook_secret, body=body) for url in settings.webhooks]
    if settings.mail_to:
        host, _, port = settings.mail_server.rpartition(":")
        channels.append(
            Mail(
                host=host,
                port=int(port),
                sender=settings.mail_from,
                recipients=settings.mail_to,
                username=settings.mail_username,
                password=settings.mail_password,
                tls=settings.mail_tls,
            )
        )
    return Notifier(channels, [Event(name) for name in settings.notify_on], settings.notify_per_hour)


def telling(note_end: NoteEnd, notifier: Notifier) -> NoteEnd:
    """Notes how a job ended, and tells of it: whoever has done the job, so once."""

    def noted(request: JobRequest, document: dict[str, Any]) -> None:
        note_end(request, document)
        event = _OF_OUTCOMES.get(str(document["outcome"]))
        if event is not None and not request.destination:
            notifier.tell(
                Message(
                    event=event,
                    at=time.time(),
                    job=request.key,
                    series_instance_uid=request.series_instance_uid,
                    study_instance_uid=request.study_instance_uid,
                    reason=str(document.get("reason") or ""),
                )
            )

    return noted


class Lookout:
    """Looks now and then whether the service is well, and tells of changes.

    Parameters
    ----------
    alarm
        Why the service is paused, if it is.
    stuck_seconds
        A queue whose oldest job has waited for so long, while none runs, stands still.
    """

    def __init__(self, notifier: Notifier, alarm: Callable[[], Alarm | None], jobs: Jobs, stuck_seconds: float) -> None:
        self._notifier, self._alarm, self._jobs, self._stuck_seconds = notifier, alarm, jobs, stuck_seconds
        self._troubles: dict[Event, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - a database that is away comes back, and that is to be told
                _log.warning("the state of the service cannot be looked at: %s", type(error).__name__)

    def look(self) -> None:
        """Look once."""
        alarm = self._alarm()
        self._judge(Event.PAUSED, alarm.code if alarm else "")
        try:
            oldest = self._jobs.oldest(JobState.WAITING)
            stands = oldest is not None and time.time() - oldest > self._stuck_seconds
            stands = stands and not self._jobs.count(JobState.RUNNING)
        except StateError:
            return
        self._judge(Event.STUCK, "queue" if stands and alarm is None else "")

    def _judge(self, event: Event, trouble: str) -> None:
        before = self._troubles.get(event, "")
        if trouble and trouble != before:
            self._notifier.tell(Message(event=event, at=time.time(), reason=trouble))
        elif before and not trouble:
            self._notifier.tell(Message(event=Event.RECOVERED, at=time.time(), reason=before))
        self._troubles[event] = trouble
