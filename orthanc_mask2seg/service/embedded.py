"""The service as a child of Orthanc's plugin.

The plugin writes one line to our stdin, a JSON document with the configuration and the secrets, and holds the pipe
open: its end means that Orthanc is gone, however it went. We write one line to our stdout, the address that we serve
on. What we have to say goes to stderr, which the plugin forwards to Orthanc's log, and to a file in the state folder.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import IO, Any

from orthanc_mask2seg import config
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.service import daemon

LONGEST_LINE = 1 << 20
_READ = 4096


def serve(start_page: daemon.StartPage) -> None:
    """Serve until the plugin closes the pipe, or a signal comes."""
    os.umask(0o077)
    settings = read(sys.stdin.buffer, os.environ)
    stop = threading.Event()
    threading.Thread(target=_watch, args=(sys.stdin.fileno(), stop), name="parent", daemon=True).start()
    daemon.serve(settings, start_page=start_page, stop=stop, embedded=True)


def read(stream: IO[bytes], environ: Any) -> config.Settings:
    """Read the settings from the plugin's line.

    Raises
    ------
    ConfigurationError
        It is not there, or a setting is wrong.
    """
    line = stream.readline(LONGEST_LINE)
    try:
        document = json.loads(line)
        configuration, folder = dict(document["configuration"]), Path(document["folder"])
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError("this is for Orthanc's plugin", hint="Use mask2seg serve -c orthanc.json.") from None
    return config.of_document(configuration, folder, environ)


def _watch(descriptor: int, stop: threading.Event) -> None:
    while os.read(descriptor, _READ):
        pass
    stop.set()
