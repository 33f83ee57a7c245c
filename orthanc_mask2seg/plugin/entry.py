"""The file that Orthanc's "PythonScript" names: routes under /mask2seg/, buttons in Orthanc Explorer, the service.

Orthanc's interpreter is not that of the service and has none of its packages, so nothing but the standard library and
the files beside this one are imported. No event of Orthanc is registered: each kind has one listener only, which may
be the site's own. No exception leaves this file.
"""

import atexit
import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import orthanc

HERE = Path(__file__).absolute().parent
PACKAGE = "mask2seg_plugin"
"""Name under which the files beside this one are known in Orthanc's interpreter."""


def load(name: str) -> ModuleType:
    """Return a file beside this one as a module, whatever else is on the path."""
    if PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            PACKAGE, HERE / "__init__.py", submodule_search_locations=[str(HERE)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{PACKAGE}.{name}")


def answer(output: Any, uri: str, **request: Any) -> None:
    """Answer a request; whatever happens, in words."""
    try:
        reply = ROUTES.handle(
            ROUTES.Request(
                method=request["method"],
                path=uri,
                headers=request.get("headers") or {},
                query=request.get("get") or {},
                body_length=len(request.get("body") or b""),
            ),
            BACKEND,
        )
    except BaseException as error:  # noqa: BLE001
        orthanc.LogError(f"mask2seg: a request failed ({type(error).__name__})")
        reply = ROUTES.FAULT
    try:
        send(output, reply)
    except BaseException as error:  # noqa: BLE001
        orthanc.LogError(f"mask2seg: an answer could not be sent ({type(error).__name__})")


def send(output: Any, reply: Any) -> None:
    """Hand an answer to Orthanc, which writes the content type of errors itself from 1.12 on."""
    for name, value in reply.headers.items():
        output.SetHttpHeader(name, value)
    if reply.status == 200:
        output.AnswerBuffer(reply.body, reply.content_type)
    elif reply.status == 405:  # Orthanc takes this, 301 and 401 by their own ways alone
        output.SendMethodNotAllowed(reply.allowed)
    elif not reply.body:
        output.SendHttpStatusCode(reply.status)
    else:
        try:
            output.SendHttpStatus(reply.status, reply.body)
        except TypeError:  # Python plugin 4.0
            output.SetHttpHeader("Content-Type", reply.content_type)
            output.SendHttpStatus(reply.status, reply.body.decode("ascii", "replace"), len(reply.body))


def start() -> None:
    """Register the routes and the buttons, and start the service unless it runs elsewhere."""
    global BACKEND, ROUTES  # noqa: PLW0603 - what the callback needs outlives this function
    setup, ROUTES = load("setup"), load("routes")
    wanted = setup.read(json.loads(orthanc.GetConfiguration()), orthanc.GetConfigurationPath(), os.environ)
    if not wanted.enable:
        orthanc.LogWarning('mask2seg: the plugin does nothing: set "Enable" to true in the "Mask2Seg" section')
        return
    if wanted.service:
        BACKEND = load("backend").Backend(lambda: wanted.service, wanted.token, ca_file=wanted.ca_file)
        orthanc.LogWarning('mask2seg: the plugin uses the service that "Service" names')
    else:
        child = load("supervisor").Supervisor(
            setup.command(wanted.command, HERE, os.environ),
            setup.greeting(wanted, orthanc.GenerateRestApiAuthorizationToken),
            setup.environment(os.environ),
            {"info": orthanc.LogInfo, "warning": orthanc.LogWarning, "error": orthanc.LogError},
        )
        BACKEND = load("backend").Backend(lambda: child.address, wanted.token, ca_file=wanted.ca_file)
        atexit.register(child.stop)  # Orthanc finalizes the interpreter when it stops
        child.start()
    orthanc.RegisterRestCallback("/mask2seg(/.*)?", answer)
    orthanc.ExtendOrthancExplorer((HERE / "explorer.js").read_text(encoding="utf-8"))


BACKEND: Any = None
ROUTES: Any = None
try:
    start()
except BaseException as error:  # noqa: BLE001
    orthanc.LogError(f"mask2seg: the plugin cannot start ({type(error).__name__}); Orthanc goes on without it")
