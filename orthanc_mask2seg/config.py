"""Settings: one table, one frozen value.

The "Mask2Seg" section of Orthanc's own configuration file (comments allowed) is overridden by the environment: the
setting `SettleSeconds` is `MASK2SEG_SETTLE_SECONDS` there. An unknown key is an error. Secrets may come from a file
(`OrthancPasswordFile`).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import json5

from orthanc_mask2seg.core.rules import Rule, parse_rule
from orthanc_mask2seg.core.viewers import DEFAULT_VIEWERS, parse_viewers
from orthanc_mask2seg.errors import ConfigurationError

SECTION = "Mask2Seg"
ENVIRONMENT_PREFIX = "MASK2SEG_"
BUILT_IN_TABLE = "totalsegmentator"
"""LabelTable that is no file."""
_ALGORITHM_TYPES = frozenset({"AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the site has decided, checked and complete. See `SETTINGS` for the meaning and unit of each."""

    orthanc_url: str = "http://127.0.0.1:8042"
    orthanc_username: str = ""
    orthanc_password: str = ""
    orthanc_password_file: str = ""
    state: str = ".state/mask2seg"
    status_host: str = "127.0.0.1"
    status_port: int = 8043
    settle_seconds: float = 2.0
    partial_rest_seconds: float = 30.0
    poll_seconds: float = 0.25
    scan_seconds: float = 60.0
    workers: int = 1
    timeout_seconds: float = 60.0
    position_tolerance_mm: float = 0.05
    series_number_offset: int = 5000
    threshold: float = 0.0
    fractional: bool = False
    fractional_maximum: float = 0.0
    resample: str = "nearest"
    maximum_volume_change: float = 0.1
    trust_order: bool = False
    merge: str = "series"
    viewers: tuple[str, ...] = DEFAULT_VIEWERS
    rules: tuple[Rule, ...] = ()
    label_table: str = ""
    algorithm_type: str = "SEMIAUTOMATIC"
    algorithm_name: str = "unspecified"
    name_from_patient_name: bool = False
    content_creator_name: str = "mask2seg^"
    log_level: str = "INFO"

    def __repr__(self) -> str:
        """Settings without the secrets."""
        shown = ((f.name, getattr(self, f.name)) for f in fields(self))
        return f"Settings({', '.join(f'{n}={v!r}' for n, v in shown if n not in SECRET)})"


SECRET = frozenset({"orthanc_password"})


class Setting(NamedTuple):
    """One row of the table: the name in orthanc.json, the unit, what it does, what is allowed; words beside paths."""

    name: str
    unit: str
    help: str
    allowed: Callable[[Any], bool] = lambda _: True
    words: frozenset[str] = frozenset()

    @property
    def field(self) -> str:
        """Name of the attribute of `Settings`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", self.name).lower()

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return ENVIRONMENT_PREFIX + self.field.upper()


def _positive(value: float) -> bool:
    return value > 0


def _not_negative(value: float) -> bool:
    return value >= 0


def _is_long_string(value: str) -> bool:
    """Whether DICOM takes it as LO (PS3.5 section 6.2)."""
    return 0 < len(value.strip()) <= 64 and value.isprintable() and "\\" not in value


SETTINGS = (
    Setting("OrthancUrl", "URL", "Address of Orthanc's REST API.", lambda v: v.startswith(("http://", "https://"))),
    Setting("OrthancUsername", "", "User of Orthanc's REST API; empty for the first of RegisteredUsers, if any."),
    Setting("OrthancPassword", "", "Its password. Better: OrthancPasswordFile."),
    Setting("OrthancPasswordFile", "path", "File that holds the password."),
    Setting("State", "path", "Folder of all state of the service; relative to the configuration file."),
    Setting("StatusHost", "", "Address that the status page listens on."),
    Setting("StatusPort", "", "Port of the status page; 0 turns it off.", lambda v: 0 <= v <= 65535),
    Setting("SettleSeconds", "s", "A complete mask that has been quiet for so long is converted.", _not_negative),
    Setting("PartialRestSeconds", "s", "A mask that lacks slices of its source waits so long for more.", _not_negative),
    Setting("PollSeconds", "s", "Time between two looks at Orthanc's journal.", _positive),
    Setting("ScanSeconds", "s", "Time between two scans of all series, which find what the journal lost.", _positive),
    Setting("Workers", "", "Masks converted at the same time.", lambda v: 1 <= v <= 64),
    Setting("TimeoutSeconds", "s", "Longest wait for one answer of Orthanc.", _positive),
    Setting("PositionToleranceMm", "mm", "Planes closer than this are the same plane.", _positive),
    Setting("SeriesNumberOffset", "", "SeriesNumber of a SEG: this plus that of its mask.", _not_negative),
    Setting(
        "Threshold", "", "Of a probability map called a mask, pixels from this value on are foreground; 0: refuse."
    ),
    Setting("Fractional", "", "Write a probability map called a mask as a FRACTIONAL segmentation."),
    Setting("FractionalMaximum", "", "Value that means certain; 0: 1, or 255 for 8 bit images.", _not_negative),
    Setting("Resample", "", "A mask on another grid: nearest, or refuse.", lambda v: v in {"nearest", "refuse"}),
    Setting("MaximumVolumeChange", "share", "Largest change of a segment's volume by resampling.", _not_negative),
    Setting("TrustOrder", "", "Pair the slices of a mask without positions by InstanceNumber."),
    Setting("Merge", "", "One SEG per mask series, or per study.", lambda v: v in {"series", "study"}),
    Setting(
        "Viewers", "list", "Viewers that have to show a SEG right: its encoding follows from them; see docs/viewers.md."
    ),
    Setting("Rules", "list", "Series that are masks or are ignored, by patterns: see docs/rules.md."),
    Setting(
        "LabelTable",
        "path",
        "What label values mean: a JSON or CSV file, or totalsegmentator; see docs/segments.md.",
        words=frozenset({BUILT_IN_TABLE}),
    ),
    Setting(
        "AlgorithmType",
        "",
        "AUTOMATIC, SEMIAUTOMATIC or MANUAL, unless the mask says it.",
        _ALGORITHM_TYPES.__contains__,
    ),
    Setting("AlgorithmName", "", "Name of what drew the masks, unless they say it.", _is_long_string),
    Setting("NameFromPatientName", "", "PatientName may name the structure, as in 3D-IRCADb."),
    Setting("ContentCreatorName", "", "Who made the segmentations, where a mask does not say it: Family^Given."),
    Setting("LogLevel", "", "DEBUG, INFO, WARNING or ERROR.", lambda v: v in {"DEBUG", "INFO", "WARNING", "ERROR"}),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_DEFAULTS = Settings()
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
    values = _from_orthanc(document)
    base = Path.cwd() if path is None else path.resolve().parent
    values |= _from_section(document.get(SECTION, {}), base)
    values |= _from_environment(environ)
    settings = Settings(**values)
    if settings.orthanc_password_file:
        settings = Settings(**{**_as_dict(settings), "orthanc_password": _secret(settings.orthanc_password_file)})
    return settings


def _as_dict(settings: Settings) -> dict[str, Any]:
    return {f.name: getattr(settings, f.name) for f in fields(settings)}


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
        values[setting.field] = _checked(setting, value, f'"{SECTION}": "{name}"')
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
        values[setting.field] = _checked(setting, _parsed(setting, text), variable)
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


def _checked(setting: Setting, value: Any, where: str) -> Any:
    default = getattr(_DEFAULTS, setting.field)
    wanted = type(default)
    if wanted is tuple:
        return _LISTS[setting.name](value, where)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        raise ConfigurationError(f"{where} must be of type {wanted.__name__}")
    if not setting.allowed(value):
        shown = "" if setting.field in SECRET else f": {value!r}"
        raise ConfigurationError(f"{where} has a value that is not allowed{shown}. {setting.help}")
    return value


def _rules(value: Any, where: str) -> tuple[Rule, ...]:
    if not isinstance(value, list):
        raise ConfigurationError(f"{where} must be a list of rules")
    rules = []
    for number, document in enumerate(value, start=1):
        try:
            rules.append(parse_rule(document))
        except ValueError as error:
            raise ConfigurationError(f"{where}, rule {number}: {error}") from error
    return tuple(rules)


def _viewers(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ConfigurationError(f"{where} must be a list of names")
    try:
        parse_viewers(value)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    return tuple(value)


_LISTS: dict[str, Callable[[Any, str], tuple[Any, ...]]] = {"Rules": _rules, "Viewers": _viewers}


def _secret(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(f"OrthancPasswordFile cannot be read: {error.strerror}") from error
