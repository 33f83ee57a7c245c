"""What is told: identifiers and codes, nothing of a patient."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

LONGEST_BODY = 64 << 10


class Event(StrEnum):
    """What happened."""

    CONVERTED = "converted"
    REFUSED = "refused"
    FAILED = "failed"
    PAUSED = "paused"
    STUCK = "stuck"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event.

    Attributes
    ----------
    at
        When, s since 1970.
    reason
        Reason code, or code of the alarm.
    suppressed
        How many messages were left out before this one, because there were too many.
    """

    event: Event
    at: float
    job: str = ""
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    reason: str = ""
    detail: str = ""
    suppressed: int = 0

    def document(self) -> dict[str, Any]:
        """JSON form (docs/notifications.md)."""
        moment = datetime.fromtimestamp(self.at, tz=UTC).isoformat(timespec="seconds")
        return {**asdict(self), "event": str(self.event), "at": moment}

    @property
    def subject(self) -> str:
        """One line."""
        return f"mask2seg: {self.event}" + (f" ({self.reason})" if self.reason else "")

    @property
    def text(self) -> str:
        """For people."""
        lines = [f"{name}: {value}" for name, value in self.document().items() if value not in {"", 0}]
        return "\n".join(lines) + "\n"


class Body:
    """The body of webhooks: the message as JSON, or what a template of the site makes of it.

    Raises
    ------
    ValueError
        The template cannot be read, or is none.
    """

    def __init__(self, template: str = "") -> None:
        self._template: jinja2.Template | None = None
        if template:
            environment = SandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
            environment.policies["json.dumps_kwargs"] = {"ensure_ascii": True}
            try:
                self._template = environment.from_string(Path(template).read_text(encoding="utf-8"))
            except (OSError, UnicodeError, jinja2.TemplateError) as error:
                raise ValueError(f"the template cannot be used ({type(error).__name__})") from None

    def of(self, message: Message) -> bytes:
        """The body; the plain one where the template fails, with a word of it."""
        document = message.document()
        if self._template is not None:
            try:
                body = self._template.render(document).encode()
            except Exception as error:  # noqa: BLE001 - a template may do anything
                document["template"] = f"failed ({type(error).__name__})"
            else:
                if len(body) <= LONGEST_BODY:
                    return body
                document["template"] = "failed (too long)"
        return json.dumps(document).encode()
