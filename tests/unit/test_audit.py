"""The audit claims nothing that it has not seen."""

from __future__ import annotations

import audit
import pytest

GOOD = {"dependencies": [{"name": "a", "version": "1", "vulns": []}]}
BAD = {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}
UNKNOWN = {"dependencies": [{"name": "a", "skip_reason": "not found"}]}


def answers(folder, document, status=0):
    """A pip-audit that says this."""
    import json

    folder.mkdir(exist_ok=True)
    program = folder / "pip-audit"
    said = json.dumps(document) if document else ""
    error = "" if document else "requests.exceptions.ConnectionError: nobody"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\necho '{error}' >&2\nexit {status}\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (GOOD, []),
        (BAD, ["a 1: CVE-1, mended in 2"]),
        (UNKNOWN, None),
        (None, None),
    ],
    ids=["good", "vulnerable", "nobody was asked", "no answer"],
)
def test_what_is_said(tmp_path, document, found):
    """Packages that were skipped are not good ones: pip-audit prints 'No known vulnerabilities' without a network."""
    assert audit.vulnerabilities(answers(tmp_path / "bin", document)) == found


def test_an_audit_that_crashes_is_no_audit(tmp_path):
    """Else a gate that cannot run would be a gate that passes."""
    program = tmp_path / "pip-audit"
    program.write_text("#!/bin/sh\necho 'ImportError: no module' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(SystemExit, match="pip-audit failed"):
        audit.vulnerabilities(tmp_path)


@pytest.mark.parametrize(
    ("document", "status", "words"), [(GOOD, 0, "vulnerabilities: 0"), (BAD, 1, "CVE-1"), (UNKNOWN, 0, "NOT AUDITED")]
)
def test_how_it_ends(tmp_path, monkeypatch, capsys, document, status, words):
    monkeypatch.setattr(audit, "bill", lambda *_: 1)
    monkeypatch.setattr("sys.argv", ["audit.py", str(answers(tmp_path / "bin", document)), str(tmp_path / "sbom")])
    assert audit.main() == status
    assert words in capsys.readouterr().out
