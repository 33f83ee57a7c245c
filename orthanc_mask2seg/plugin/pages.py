"""The page that a form leads to, where there is no JavaScript of ours: a job, until it ends, then what it came to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

REFRESH_SECONDS = 2
ROOT = "../.."
"""Orthanc, from /mask2seg/jobs/... and /mask2seg/studies/..."""

EXPLORER = f"{ROOT}/app/explorer.html"
FILE = re.compile(r"/series/[0-9a-f-]{44}/attachments/\d+/data")
NAMES = {
    "SEG": "The segmentation", "SR": "The structured report", "RTSTRUCT": "The contours (RTSTRUCT)",
    "SC": "The picture as a series", "CSV": "The features (CSV)", "JSON": "The features (JSON)",
    "NRRD": "The segmentation as .seg.nrrd", "NIFTI": "The segmentation as NIfTI", "PREVIEW": "The picture (PNG)",
}  # fmt: skip
"""What a page calls an output, by its kind."""

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
<link rel="stylesheet" href="../job.css">
</head>
<body>
<header><a href="../">mask2seg</a></header>
<main>
"""

STYLE = """:root { color-scheme: dark; }
body { margin: 0; background: #111418; color: #d7dce2; font: 15px/1.5 system-ui, sans-serif; }
header { padding: 10px 20px; background: #181d23; }
header a { color: inherit; font-weight: 600; text-decoration: none; }
main { max-width: 44em; padding: 6px 20px; }
section { padding: 12px 0; border-bottom: 1px solid #20262d; }
p { margin: 4px 0; }
h1 { margin: 0; font-size: 17px; }
.converted { color: #6fcf97; }
.refused { color: #f2c94c; }
.failed, .quarantined { color: #ff8a80; }
a { color: #79b8ff; margin-right: 1.5em; }
"""
"""Of these pages alone: they look the same where the service is elsewhere, older, or down."""


def jobs(documents: Sequence[Mapping[str, Any]]) -> str:
    """Show some jobs."""
    going_on = any(document["state"] not in ENDED for document in documents)
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">\n' if going_on else ""
    body = "".join(map(_job, documents)) or "<section>No series of this study looks like a mask.</section>\n"
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
    lines = [f'<section>\n<h1 class="{escape(_kind(document))}">{escape(headline)}</h1>\n']
    if hint:
        lines.append(f"<p>{escape(hint)}</p>\n")
    links = document.get("links") or {}
    shown = [(NAMES.get(str(one["kind"]), str(one["kind"])), _address(one)) for one in links.get("made") or []]
    others = (("mask", "The mask series"), ("source", "The images"))
    shown += [(title, _series(links[name])) for name, title in others if links.get(name)]
    anchors = [f'<a href="{escape(address)}">{escape(title)}</a>\n' for title, address in shown]
    return "".join([*lines, "<p>", *anchors, "</p>\n", _picture(document), "</section>\n"])


def _picture(document: Mapping[str, Any]) -> str:
    """Three planes through each segment; the service draws them when somebody looks."""
    if not any(one["kind"] == "SEG" for one in (document.get("links") or {}).get("made") or []):
        return ""
    address = f"{ROOT}/mask2seg/jobs/{document['id']}/pictures/sheet.png"
    words = "Three planes through each segment, with its outline"
    return f'<p><img src="{escape(address)}" alt="{words}" loading="lazy"></p>\n'


def _series(key: object) -> str:
    return f"{EXPLORER}#series?uuid={key}"


def _address(made: Mapping[str, Any]) -> str:
    """Where one output is opened: its series, or the file that Orthanc keeps beside that of the segmentation."""
    file = str(made.get("file") or "")
    return f"{ROOT}{file}" if FILE.fullmatch(file) else _series(made["series"])


def _kind(document: Mapping[str, Any]) -> str:
    """What the style knows: an outcome, or a state where there is none yet."""
    state = str(document["state"])
    outcome = str((document.get("result") or {}).get("outcome"))
    return outcome if state in ENDED and outcome in {"converted", "refused"} else state
