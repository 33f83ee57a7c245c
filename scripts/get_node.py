"""Get the packages of a package-lock.json from npm into a private folder: the very files whose hashes are in it.

    get_node.py tests/readers .state/node/readers

Instant when they are there. The lock names no address: npm asks whichever registry it is set up with. No script of a
package runs. Standard library only.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import get_debian
import get_ohif

FILES = ("package.json", "package-lock.json")


def main() -> None:
    """Do what the command line asks."""
    try:
        print(fetch(Path(sys.argv[1]), Path(sys.argv[2])))
    except (get_ohif.GetOhifError, get_debian.GetDebianError) as error:
        sys.exit(f"get_node: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def fetch(wanted: Path, into: Path) -> Path:
    """Folder whose node_modules are those of the lock file in the folder `wanted`."""
    into = into.absolute()
    with get_debian.locked(into):
        if all((into / name).is_file() and _same(into / name, wanted / name) for name in FILES):
            return into
        shutil.rmtree(into, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{into.name}.", suffix=".part", dir=into.parent) as name:
            work = Path(name) / "work"
            work.mkdir()
            for file in FILES:
                shutil.copy(wanted / file, work / file)
            words, environment = get_ohif.npm()
            install = [*words, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            done = subprocess.run(install, env=environment, cwd=work, capture_output=True, text=True, check=False)
            if done.returncode:
                raise get_ohif.GetOhifError(f"npm ci failed:\n{done.stderr.strip()}")
            work.rename(into)
    return into


def _same(a: Path, b: Path) -> bool:
    return a.read_bytes() == b.read_bytes()


if __name__ == "__main__":
    main()
