"""The page that a form leads to, where there is no JavaScript of ours: a job, until it ends, then what it came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

REFRESH_SECONDS = 2
EXPLORER = "../../app/explorer.html"
"""Orthanc Explorer, from /mask2seg/jobs/... and /mask2seg/studies/..."""

STEPS = {
    "match": "Looking for the images that it belongs to",
    "read": "Reading the mask",
    "convert": "Converting",
    "store": "Storing the segmentation",
}
ENDED = frozenset({"done", "failed", "quarantined"})

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh}<meta name="viewport" content="width=device-width, initial-scale=1">
<title>mask2seg</title>
<link rel="stylesheet" href="../style.css">
</head>
<body>
<header><h1>mask2seg</h1></header>
<main>
"""


def jobs(documents: Sequence[Mapping[str, Any]]) -> str:
    """Show some jobs."""
    going_on = any(document["state"] not in ENDED for document in documents)
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">\n' if going_on else ""
    body = "".join(map(_job, documents)) or "<p>No series of this study looks like a mask.</p>\n"
    return _HEAD.format(refresh=refresh) + body + "</main>\n</body>\n</html>\n"


def words(document: Mapping[str, Any]) -> tuple[str, str]:
    """What became of a job, in words: a headline and what to do about it."""
    answer = document.get("result") or document.get("error") or {}
    detail = str(answer.get("detail") or "")
    if document["state"] == "running":
        return f"{STEPS.get(str(document.get('step')), 'Working')} ...", ""
    if document["state"] == "waiting":
        return f"Waiting ... {detail}".rstrip(), str(answer.get("hint") or "")
    outcome = str(answer.get("outcome") or document["state"])
    reason = f" ({answer['reason']})" if answer.get("reason") else ""
    return f"{outcome.capitalize()}{reason}: {detail}" if detail else f"{outcome.capitalize()}{reason}", str(
        answer.get("hint") or ""
    )


def _job(document: Mapping[str, Any]) -> str:
    headline, hint = words(document)
    links = document.get("links") or {}
    lines = [f"<p><strong>{escape(headline)}</strong></p>\n"]
    if hint:
        lines.append(f"<p>{escape(hint)}</p>\n")
    shown = [("The segmentation", key) for key in links.get("outputs") or []]
    shown.append(("The mask series", links.get("mask")))
    for title, key in shown:
        if key:
            lines.append(f'<p><a href="{EXPLORER}#series?uuid={escape(str(key))}">{title}</a></p>\n')
    return "".join(lines)
