"""Write the parts of the documentation that follow from the code. `make_docs.py --check` only says what is stale."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from orthanc_mask2seg.config import SETTINGS, Settings
from orthanc_mask2seg.core import terms, totalsegmentator
from orthanc_mask2seg.core.diagnosis import Viewer
from orthanc_mask2seg.core.display_checks import SEG_CHECKS
from orthanc_mask2seg.core.viewers import READERS, Encoding
from orthanc_mask2seg.pacs.orthanc_checks import PACS_CHECKS

DOCS = Path(__file__).resolve().parent.parent / "docs"


def settings_page() -> str:
    """docs/settings.md."""
    rows = []
    defaults = Settings()
    for setting in SETTINGS:
        default = getattr(defaults, setting.field)
        default = json.dumps(default) if isinstance(default, tuple) else default
        shown = f"`{default}`" if default != "" else ""
        rows.append(f"| `{setting.name}` | {shown} | {setting.unit} | {setting.help} | `{setting.variable}` |")
    return "\n".join(
        [
            "# Settings",
            "",
            'They are in the `"Mask2Seg"` section of Orthanc\'s own configuration file, which allows comments and',
            "`${NAME:-default}`. The environment overrides it. An unknown name is an error. Relative paths are",
            "relative to the configuration file.",
            "",
            "| name | default | unit | meaning | environment variable |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Without `OrthancUrl`, the address follows from `HttpPort` and `SslEnabled` of the same file; without",
            "`OrthancUsername`, the first of `RegisteredUsers` is taken.",
            "",
        ]
    )


TABLES = "<!-- what follows is written by make docs -->\n"


def segments_page() -> str:
    """docs/segments.md: what is before the mark is written by hand, the tables are not."""
    by_hand = (DOCS / "segments.md").read_text(encoding="utf-8").split(TABLES)[0]
    lines = []
    for title, group in terms.GROUPS:
        lines += ["", f"### {title}", "", "| name | category | type | also |", "|---|---|---|---|"]
        lines += [_term_row(term) for term in group]
    lines += ["", "## Classes of TotalSegmentator", "", "| value | name | codes |", "|---|---|---|"]
    for value, row in totalsegmentator.table().rows.items():
        lines.append(f"| {value} | {row.name} | {_codes(row.coding) if row.coding else 'none'} |")
    return by_hand + TABLES + "\n".join(lines) + "\n"


def viewers_page() -> str:
    """docs/viewers.md: the table is the one that the choice of encoding uses."""
    return _page_of_readers("viewers.md", ("ohif", "slicer"))


def readers_page() -> str:
    """docs/readers.md: likewise."""
    return _page_of_readers("readers.md", ("highdicom", "dcmqi", "dcmjs", "simpleitk", "plastimatch"))


def _page_of_readers(name: str, shown: tuple[str, ...]) -> str:
    by_hand = (DOCS / name).read_text(encoding="utf-8").split(TABLES)[0]
    lines = [
        "",
        "| program | BINARY | BINARY, frames not of whole bytes | FRACTIONAL | LABELMAP |",
        "|---|---|---|---|---|",
    ]
    for row in (r for r in READERS if r.name in shown):
        seen = [row.shows(Encoding.BINARY, aligned=aligned) for aligned in (True, False)]
        seen += [row.shows(encoding, aligned=True) for encoding in (Encoding.FRACTIONAL, Encoding.LABELMAP)]
        lines.append(f"| {row} | {' | '.join(seen)} |")
    return by_hand + TABLES + "\n".join(lines) + "\n"


def _term_row(term: terms.Term) -> str:
    code = f"{term.property_type.meaning} ({term.property_type.scheme_designator} {term.property_type.value})"
    code += "".join(f", in {region.meaning}" for region in term.regions)
    first = (f"{term.name}, left and right" if term.paired else term.name, term.category.meaning, code)
    return f"| {' | '.join(first)} | {'; '.join(', '.join(names) for names in term.names)} |"


def _codes(coding: terms.Coding) -> str:
    concepts = (*coding.modifiers, coding.property_type)
    shown = ", ".join(f"{c.meaning} ({c.scheme_designator} {c.value})" for c in concepts)
    return shown + "".join(f", in {r.meaning}" for r in coding.regions)


def doctor_page() -> str:
    """docs/doctor.md: the tables of checks follow what is written by hand."""
    by_hand = (DOCS / "doctor.md").read_text(encoding="utf-8").split(TABLES)[0]
    lines = ["", "## Checks of the PACS", "", "| code | level | what is wrong | what to do |", "|---|---|---|---|"]
    lines += [f"| `{c.code}` | {c.level} | {c.fault} | {c.remedy} |" for c in PACS_CHECKS]
    lines += ["", "## Checks of a segmentation", ""]
    lines += ["| code | level | does not display in | what is wrong | what to do |", "|---|---|---|---|---|"]
    for check in SEG_CHECKS:
        viewers = ", ".join(str(viewer) for viewer in Viewer if viewer in check.hides)
        lines.append(f"| `{check.code}` | {check.level} | {viewers} | {check.fault} | {check.remedy} |")
    return by_hand + TABLES + "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "segments.md": segments_page,
    "doctor.md": doctor_page,
    "viewers.md": viewers_page,
    "readers.md": readers_page,
}


def stale() -> list[str]:
    """Names of the pages that are not what the code says."""
    return [name for name, page in PAGES.items() if not _is_current(DOCS / name, page())]


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main() -> None:
    """Write or check."""
    if "--check" in sys.argv:
        found = stale()
        sys.exit(f"stale: {', '.join(found)}; run make docs" if found else 0)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
