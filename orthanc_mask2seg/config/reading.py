"""Reading the settings: the configuration file, then the environment, checked against the table."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import json5

from orthanc_mask2seg.addresses import DestinationKind, parse_destination
from orthanc_mask2seg.config.table import (
    EMBEDDED_STATE,
    ENVIRONMENT_PREFIX,
    SECRET,
    SECRET_FILES,
    SECTION,
    SETTINGS,
    Setting,
    Settings,
    is_database_url,
)
from orthanc_mask2seg.core.rules import parse_rule
from orthanc_mask2seg.core.viewers import parse_viewers
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.outputs.kinds import parse_outputs
from orthanc_mask2seg.outputs.presets import Aggregation

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_DEFAULTS = Settings()
SHORTEST_TOKEN = 16
"""Characters of a token; what has fewer might be guessed."""
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    path
        Orthanc's configuration file; None for the defaults and the environment alone.
    environ
        The environment; that of the process by default.

    Raises
    ------
    ConfigurationError
        The file cannot be read, a key is unknown, or a value is not allowed.
    """
    environ = os.environ if environ is None else environ
    document = {} if path is None else _read(path, environ)
    return of_document(document, Path.cwd() if path is None else path.resolve().parent, environ)


def of_document(document: Mapping[str, Any], base: Path, environ: Mapping[str, str]) -> Settings:
    """Read the settings from Orthanc's configuration as it stands.

    Parameters
    ----------
    base
        Folder that relative paths start from.

    Raises
    ------
    ConfigurationError
        A key is unknown, or a value is not allowed.
    """
    values = _from_orthanc(document)
    values |= _from_section(document.get(SECTION, {}), base)
    values |= _from_environment(environ)
    if values.get("enable") and "state" not in values:
        values["state"] = str(base / _index_folder(document) / EMBEDDED_STATE)
    settings = Settings(**values)
    _check_archives(settings)
    found: dict[str, Any] = {}
    for file, secret in SECRET_FILES.items():
        if path := getattr(settings, file):
            found[secret] = _secret(path, file)
    if not is_database_url(found.get("database_url", "")):
        raise ConfigurationError(
            "The file of DatabaseUrlFile must hold one address: postgresql://USER:PASSWORD@HOST/NAME"
        )
    return replace(settings, **found)


def _check_archives(settings: Settings) -> None:
    try:
        archive = settings.dicomweb
    except ValueError as error:
        raise ConfigurationError(f"The DICOMweb archive (settings Dicomweb...): {error}") from None
    try:
        tls = settings.orthanc_tls
    except ValueError as error:
        raise ConfigurationError(f"TLS to Orthanc (settings Orthanc...): {error}") from None
    if tls.any and settings.dicomweb is None and not settings.orthanc_url.startswith("https://"):
        raise ConfigurationError("OrthancCaFile and OrthancCertificateFile need an address with https (OrthancUrl)")
    if 0 < len(settings.service_token) < SHORTEST_TOKEN:
        raise ConfigurationError(
            f"ServiceToken has fewer than {SHORTEST_TOKEN} characters: it could be guessed",
            hint="Make one, for instance with: openssl rand -base64 32",
        )
    if settings.status_key_file and not settings.status_certificate_file:
        raise ConfigurationError("StatusKeyFile needs StatusCertificateFile")
    _check_notifications(settings)
    labels = [destination.label for destination in settings.destinations]
    if len(set(labels)) < len(labels):
        raise ConfigurationError("Two destinations have the same name", hint='Give each a "Name" of its own.')
    kinds = {destination.kind for destination in settings.destinations}
    if archive is not None and kinds - {DestinationKind.DICOMWEB}:
        raise ConfigurationError("Peers and modalities are Orthanc's: they are no destinations beside DicomwebUrl")


def _check_notifications(settings: Settings) -> None:
    if settings.mail_to and not settings.mail_from:
        raise ConfigurationError("MailTo needs MailFrom")
    if settings.mail_tls == "none" and settings.mail_server.rpartition(":")[0] not in {"localhost", "127.0.0.1", "::1"}:
        raise ConfigurationError("MailTls may be none for a server on this machine alone")


def _index_folder(document: Mapping[str, Any]) -> str:
    """Where Orthanc keeps its index, in its own words: it can write there, and it is backed up."""
    return str(document.get("IndexDirectory") or document.get("StorageDirectory") or "OrthancStorage")


def _read(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        document = json5.loads(_substitute(text, environ))
    except OSError as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get(SECTION, {}), dict):
        raise ConfigurationError(f'{path.name}: the file and its "{SECTION}" section must be JSON objects')
    return document


def _substitute(text: str, environ: Mapping[str, str]) -> str:
    """Replace ${NAME} and ${NAME:-default} as Orthanc does, so that one file serves both."""

    def value(found: re.Match[str]) -> str:
        return environ.get(found[1]) or found[2] or ""

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, text)


def _from_orthanc(document: Mapping[str, Any]) -> dict[str, Any]:
    """What Orthanc's own settings say of its address and its users."""
    scheme = "https" if document.get("SslEnabled") else "http"
    values: dict[str, Any] = {"orthanc_url": f"{scheme}://127.0.0.1:{document.get('HttpPort', 8042)}"}
    users = document.get("RegisteredUsers")
    if isinstance(users, dict) and users and document.get("AuthenticationEnabled", True):
        values["orthanc_username"], values["orthanc_password"] = next(iter(users.items()))
    return values


def _from_section(section: Mapping[str, Any], base: Path) -> dict[str, Any]:
    values = {}
    for name, value in section.items():
        setting = _BY_NAME.get(name)
        if setting is None:
            raise ConfigurationError(_unknown(f'"{SECTION}": "{name}"', name, _BY_NAME))
        values[setting.field] = _checked(setting, value, f'"{SECTION}": "{name}"', base)
        if setting.unit == "path" and values[setting.field] and value not in setting.words:
            values[setting.field] = str(base / values[setting.field])
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    by_variable = {setting.variable: setting for setting in SETTINGS}
    values = {}
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        setting = by_variable.get(variable)
        if setting is None:
            raise ConfigurationError(_unknown(f"environment variable {variable}", variable, by_variable))
        values[setting.field] = _checked(setting, _parsed(setting, text), variable, Path.cwd())
    return values


def _unknown(what: str, name: str, known: Mapping[str, Setting]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"{what} is not a setting" + (f"; did you mean {close[0]}?" if close else "")


def _parsed(setting: Setting, text: str) -> Any:
    default = getattr(_DEFAULTS, setting.field)
    try:
        if isinstance(default, bool):
            return _BOOLEANS[text.strip().lower()]
        if isinstance(default, tuple):
            return json5.loads(text)
        return type(default)(text)
    except (KeyError, ValueError) as error:
        raise ConfigurationError(f"{setting.variable} must be of type {type(default).__name__}") from error


def _checked(setting: Setting, value: Any, where: str, base: Path) -> Any:
    default = getattr(_DEFAULTS, setting.field)
    wanted = type(default)
    if wanted is tuple:
        return _list(setting, value, where, base)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ConfigurationError(f"{where} must be of type {wanted.__name__}")
    if not setting.allowed(value):
        shown = "" if setting.field in SECRET else f": {value!r}"
        raise ConfigurationError(f"{where} has a value that is not allowed{shown}. {setting.help}")
    return value


def _several(value: Any, where: str, parse: Callable[[Any], Any]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ConfigurationError(f"{where} must be a list")
    parsed = []
    for number, document in enumerate(value, start=1):
        try:
            parsed.append(parse(document))
        except ValueError as error:
            raise ConfigurationError(f"{where}, number {number}: {error}") from error
    return tuple(parsed)


def _list(setting: Setting, value: Any, where: str, base: Path) -> tuple[Any, ...]:
    if setting.name in _NAMES:
        return _names(value, where, _NAMES[setting.name])
    if setting.name in _PLAIN:
        if (
            not isinstance(value, list)
            or not all(isinstance(word, str) for word in value)
            or not setting.allowed(value)
        ):
            raise ConfigurationError(f"{where} has a value that is not allowed. {setting.help}")
        return tuple(value)
    if setting.name == "RadiomicsRange":
        return _range(value, where)
    if setting.name == "StatusNames":
        return _several(value, where, _host_name)
    parse = parse_rule if setting.name == "Rules" else partial(parse_destination, base=base)
    return _several(value, where, parse)


def _host_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9.:_\[\]-]{1,253}", value):
        raise ValueError("a name such as imaging.hospital.example is expected, without port")
    return value.lower()


_NAMES: Mapping[str, Callable[[Any], Any]] = {
    "Viewers": parse_viewers,
    "Outputs": parse_outputs,
    "RadiomicsAggregations": lambda names: [Aggregation(name) for name in names],
}
_PLAIN = frozenset({"Webhooks", "MailTo", "NotifyOn"})
"""Lists of texts, each of which the table judges."""


def _names(value: Any, where: str, parse: Callable[[Any], Any]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ConfigurationError(f"{where} must be a list of names")
    try:
        parse(value)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    return tuple(value)


def _range(value: Any, where: str) -> tuple[float, ...]:
    numbers = isinstance(value, list) and all(type(v) in {int, float} for v in value)
    if not numbers or len(value) not in {0, 2} or (value and value[0] >= value[1]):
        raise ConfigurationError(f"{where} must be a list of two numbers, the lower first")
    return tuple(float(v) for v in value)


def _secret(path: str, field: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        name = next(setting.name for setting in SETTINGS if setting.field == field)
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from error
