"""Known vulnerabilities of what is locked, and its bill of materials (CycloneDX).

    audit.py BIN SBOM

BIN is the folder of pip-audit and cyclonedx-py. Ends with 1 where a locked package has a known vulnerability. Where the
service that knows them cannot be reached, that is said and nothing is claimed; the bill of materials is written anyway.
Standard library only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "run.lock"
PATIENCE_S = 300


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("bin", type=Path)
    parser.add_argument("sbom", type=Path)
    wanted = parser.parse_args()
    print(f"bill of materials: {bill(wanted.bin, wanted.sbom)} packages in {wanted.sbom}")
    found = vulnerabilities(wanted.bin)
    if found is None:
        print("NOT AUDITED: the service of known vulnerabilities cannot be reached from here")
        return 0
    for line in found:
        print(line)
    print(f"known vulnerabilities: {len(found)}")
    return 1 if found else 0


def bill(folder: Path, sbom: Path) -> int:
    """Write the bill of materials, the same for the same lock file; returns how many packages it has."""
    sbom.parent.mkdir(parents=True, exist_ok=True)
    program, target, lock = str(folder / "cyclonedx-py"), str(sbom), str(LOCK)
    words = [program, "requirements", "--output-reproducible", "--of", "JSON", "-o", target, lock]
    subprocess.run(words, check=True, timeout=PATIENCE_S, capture_output=True)
    return len(json.loads(sbom.read_text(encoding="utf-8"))["components"])


def vulnerabilities(folder: Path) -> list[str] | None:
    """A line for each that is known; None where nobody could be asked."""
    words = [str(folder / "pip-audit"), "--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
    for service in ("osv", "pypi"):
        try:
            done = subprocess.run(
                [*words, "-s", service, "-r", str(LOCK)],
                check=False,
                timeout=PATIENCE_S,
                capture_output=True,
                text=True,
            )
        except subprocess.TimeoutExpired:
            continue
        try:
            document = json.loads(done.stdout)
        except ValueError:
            if not _nobody_answered(done.stderr):
                raise SystemExit(f"pip-audit failed ({done.returncode}):\n{done.stderr[-2000:]}") from None
            continue
        if not skipped(document):
            return lines_of(document)
    return None


def _nobody_answered(words: str) -> bool:
    """Whether pip-audit says that it could not reach the service; all else that ends it is a failure of the audit."""
    return any(sign in words for sign in ("ConnectionError", "Connection", "HTTPError", "Timeout", "ServiceError"))


def skipped(document: dict[str, list[dict[str, object]]]) -> int:
    """Packages that the service said nothing about: pip-audit counts those as good, when nobody could be asked."""
    return sum("skip_reason" in package for package in document["dependencies"])


def lines_of(document: dict[str, list[dict[str, object]]]) -> list[str]:
    """Read the answer of pip-audit."""
    found = []
    for package in document["dependencies"]:
        listed = package.get("vulns")
        for one in listed if isinstance(listed, list) else []:
            fixed = ", ".join(one.get("fix_versions") or ()) or "no version"
            found.append(f"{package['name']} {package.get('version')}: {one['id']}, mended in {fixed}")
    return found


if __name__ == "__main__":
    sys.exit(main())
