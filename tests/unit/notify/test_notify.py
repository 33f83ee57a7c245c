"""Webhooks and e-mail: signed, tried again, not too many, and never in the way."""

from __future__ import annotations

import email
import json
import logging
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.config.reading import of_document
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.jobs.alarms import Alarm
from orthanc_mask2seg.jobs.port import JobRequest, JobState
from orthanc_mask2seg.notify.channels import Mail, Webhook, signature
from orthanc_mask2seg.notify.message import Body, Event, Message
from orthanc_mask2seg.notify.notifier import Notifier
from orthanc_mask2seg.service.news import Lookout, notifier_of, telling
from tests.unit.notify.servers import Hooks, post_office, web

MESSAGE = Message(event=Event.REFUSED, at=1.8e9, job="j", series_instance_uid="1.2.3", reason="ambiguous_source")
QUICK = (0.05, 0.05)
SECRET = "a secret of the site"


def request(**more):
    return JobRequest(series_key="k", series_instance_uid="1.2.3", study_instance_uid="1.2", version="v", **more)


def test_a_webhook_is_signed_and_goes_nowhere_else():
    hooks = Hooks()
    with web(hooks) as url:
        Webhook(url=url, secret=SECRET).send(MESSAGE)
    [(headers, body)] = hooks.got
    stamp = headers["x-mask2seg-timestamp"]
    assert headers["x-mask2seg-signature"] == f"sha256={signature(SECRET, stamp, body)}"
    assert abs(time.time() - int(stamp)) < 60
    told = json.loads(body)
    assert (told["event"], told["reason"], told["series_instance_uid"]) == ("refused", "ambiguous_source", "1.2.3")
    assert told["at"] == "2027-01-15T08:00:00+00:00"


def test_it_is_tried_again_and_then_let_be(caplog):
    hooks = Hooks(answers=[500, 302, 200])
    with web(hooks) as url:
        notifier = Notifier([Webhook(url=url)], list(Event), 60, QUICK)
        notifier.tell(MESSAGE)
        hooks.wait(3)
        notifier.close()
    assert [json.loads(body)["job"] for _, body in hooks.got] == ["j"] * 3, "the redirect was not followed"
    assert caplog.records == []
    hooks = Hooks(answers=[500])
    with web(hooks) as url, caplog.at_level(logging.WARNING):
        notifier = Notifier([Webhook(url=url, secret=SECRET)], list(Event), 60, QUICK)
        notifier.tell(MESSAGE)
        hooks.wait(3)
        notifier.close()
    assert len(hooks.got) == 3
    [record] = caplog.records
    assert "webhook 127.0.0.1" in record.getMessage()
    assert "secret-path" not in record.getMessage() + repr(Webhook(url=url, secret=SECRET))
    assert SECRET not in record.getMessage() + repr(Webhook(url=url, secret=SECRET))


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    hooks = Hooks()
    with web(hooks) as url:
        Webhook(url=url).send(MESSAGE)
    assert len(hooks.got) == 1


def test_no_more_than_so_many_in_an_hour_and_the_rest_is_counted(monkeypatch):
    hooks, now = Hooks(), [1000.0]
    with web(hooks) as url:
        notifier = Notifier([Webhook(url=url)], [Event.REFUSED], 2, QUICK)
        monkeypatch.setattr("orthanc_mask2seg.notify.notifier.time.monotonic", lambda: now[0])
        for _ in range(5):
            notifier.tell(MESSAGE)
        hooks.wait(2)
        now[0] += 3601
        notifier.tell(MESSAGE)
        hooks.wait(3)
        notifier.tell(Message(event=Event.CONVERTED, at=0.0))
        monkeypatch.undo()
        notifier.close()
    assert [json.loads(body)["suppressed"] for _, body in hooks.got] == [0, 0, 3]


def test_telling_takes_no_time_and_closing_little():
    with post_office([], threading.Event()):
        notifier = Notifier([Webhook(url="http://127.0.0.1:9/")], list(Event), 10_000, (30.0, 30.0))
        begin = time.monotonic()
        for _ in range(2000):
            notifier.tell(MESSAGE)
        assert time.monotonic() - begin < 1
        notifier.close()
        assert time.monotonic() - begin < 5


def test_a_letter_says_the_same():
    letters, came = [], threading.Event()
    with post_office(letters, came) as port:
        mail = Mail(host="127.0.0.1", port=port, sender="a@x.org", recipients=("b@x.org", "c@x.org"), tls="none")
        notifier = Notifier([mail], list(Event), 60, QUICK)
        notifier.tell(MESSAGE)
        assert came.wait(10)
        notifier.close()
    letter = email.message_from_bytes(letters[0])
    assert letter["Subject"] == "mask2seg: refused (ambiguous_source)"
    assert (letter["From"], letter["To"]) == ("a@x.org", "b@x.org, c@x.org")
    assert "series_instance_uid: 1.2.3" in letter.get_payload()


def test_mail_without_tls_where_tls_is_wanted_is_not_sent(caplog):
    letters = []
    with post_office(letters, threading.Event()) as port:
        mail = Mail(host="127.0.0.1", port=port, sender="a@x.org", recipients=("b@x.org",))
        with pytest.raises(Exception, match=r"STARTTLS"):
            mail.send(MESSAGE)
    assert letters == []


def test_templates(tmp_path: Path):
    path = tmp_path / "chat.json"
    path.write_text('{"text": {{ ("mask2seg: " ~ event ~ " " ~ reason) | tojson }}}')
    assert json.loads(Body(str(path)).of(MESSAGE)) == {"text": "mask2seg: refused ambiguous_source"}
    path.write_text("{{ nothing_of_the_kind }}")
    told = json.loads(Body(str(path)).of(MESSAGE))
    assert told["template"] == "failed (UndefinedError)"
    assert told["event"] == "refused"
    path.write_text("{{ ''.__class__.__mro__ }}")
    assert json.loads(Body(str(path)).of(MESSAGE))["template"] == "failed (SecurityError)"
    path.write_text("{{ 'x' * 100000 }}")
    assert json.loads(Body(str(path)).of(MESSAGE))["template"] == "failed (too long)"
    path.write_text("{% nonsense")
    with pytest.raises(ValueError, match="TemplateSyntaxError"):
        Body(str(path))


class Heard:
    def __init__(self):
        self.messages = []

    def tell(self, message):
        self.messages.append(message)


def test_the_end_of_a_job_is_told_once_it_is_noted_and_without_its_words():
    order, heard = [], Heard()
    note = telling(lambda *_: order.append("noted"), heard)
    note(request(), {"outcome": "refused", "reason": "patient_mismatch", "detail": "Canary^Patient"})
    note(request(destination="second"), {"outcome": "failed", "reason": "delivery"})
    note(request(), {"outcome": "skipped", "reason": "superseded"})
    [told] = heard.messages
    assert (told.event, told.reason, told.series_instance_uid) == (Event.REFUSED, "patient_mismatch", "1.2.3")
    assert "Canary" not in str(told.document()) + told.text
    assert order == ["noted"] * 3


class Queue:
    oldest_at, running = None, 0

    def oldest(self, *states):
        assert states == (JobState.WAITING,)
        return self.oldest_at

    def count(self, *_states):
        return self.running


def test_troubles_are_told_once_and_so_is_their_end():
    heard, queue, alarms = Heard(), Queue(), [None]
    lookout = Lookout(heard, lambda: alarms[0], queue, 60.0)
    lookout.look()
    alarms[0] = Alarm("archive_full", "d", "h", 0.0)
    for _ in range(3):
        lookout.look()
    alarms[0] = None
    queue.oldest_at = time.time() - 61
    for _ in range(3):
        lookout.look()
    queue.running = 1
    lookout.look()
    told = [(str(m.event), m.reason) for m in heard.messages]
    assert told == [
        ("paused", "archive_full"),
        ("recovered", "archive_full"),
        ("stuck", "queue"),
        ("recovered", "queue"),
    ]


def test_a_database_that_is_away_ends_no_lookout(monkeypatch):
    """It looks on, and tells when what was wrong is over."""

    class Away(Queue):
        def oldest(self, *_states):
            raise OperationalError("SELECT", {}, Exception("away"))

    monkeypatch.setattr("orthanc_mask2seg.service.news.LOOK_SECONDS", 0.01)
    heard, alarms, stop = Heard(), [Alarm("state_unavailable", "d", "h", 0.0)], threading.Event()
    thread = threading.Thread(target=Lookout(heard, lambda: alarms[0], Away(), 60.0).run, args=(stop,), daemon=True)
    thread.start()
    for wanted in ("paused", "recovered"):
        end = time.monotonic() + 10
        while wanted not in [str(m.event) for m in heard.messages]:
            assert thread.is_alive()
            assert time.monotonic() < end
            time.sleep(0.01)
        alarms[0] = None
    stop.set()
    thread.join(5)


def test_settings_name_channels_and_keep_their_secrets(tmp_path: Path):
    (tmp_path / "secret").write_text(SECRET)
    section = {"Webhooks": ["https://chat.example/T0/secret"], "WebhookSecretFile": "secret",
               "MailFrom": "a@x.org", "MailTo": ["b@x.org"]}  # fmt: skip
    settings = of_document({"Mask2Seg": section}, tmp_path, {})
    assert settings.webhook_secret == SECRET
    assert SECRET not in repr(settings)
    assert "chat.example" not in repr(settings)
    notifier_of(settings).close()
    notifier_of(Settings()).close()


@pytest.mark.parametrize(
    "section",
    [
        {"Webhooks": ["ftp://x"]}, {"Webhooks": [5]}, {"MailTo": ["a@x.org"]}, {"MailFrom": "a@x.org\nBcc: b@x.org"},
        {"MailServer": "smtp.example"}, {"MailServer": "smtp.example:587", "MailTls": "none"}, {"NotifyOn": ["lunch"]},
        {"NotifyPerHour": 0}, {"MailTo": [""], "MailFrom": "a@x.org"},
    ],
)  # fmt: skip
def test_wrong_settings_are_said_to_be(section, tmp_path: Path):
    with pytest.raises(ConfigurationError):
        of_document({"Mask2Seg": section}, tmp_path, {})
