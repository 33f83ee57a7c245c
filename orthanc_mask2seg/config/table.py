"""The table of settings: what each is called, what it means, in which unit, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from orthanc_mask2seg.addresses import Destination, DicomwebAddress, TlsFiles
from orthanc_mask2seg.core.rules import Rule
from orthanc_mask2seg.core.viewers import DEFAULT_VIEWERS
from orthanc_mask2seg.outputs.engines import EngineName
from orthanc_mask2seg.outputs.presets import DEFAULT_PRESET, PRESETS, Interpolation

SECTION = "Mask2Seg"
ENVIRONMENT_PREFIX = "MASK2SEG_"
BUILT_IN_TABLE = "totalsegmentator"
"""LabelTable that is no file."""
_ALGORITHM_TYPES = frozenset({"AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the site has decided, checked and complete. See `SETTINGS` for the meaning and unit of each."""

    enable: bool = False
    command: str = ""
    service: str = ""
    service_token: str = ""
    service_token_file: str = ""
    service_ca_file: str = ""
    orthanc_url: str = "http://127.0.0.1:8042"
    orthanc_authorization: str = ""
    orthanc_username: str = ""
    orthanc_password: str = ""
    orthanc_password_file: str = ""
    orthanc_certificate_file: str = ""
    orthanc_key_file: str = ""
    orthanc_ca_file: str = ""
    dicomweb_url: str = ""
    dicomweb_username: str = ""
    dicomweb_password: str = ""
    dicomweb_password_file: str = ""
    dicomweb_token: str = ""
    dicomweb_token_file: str = ""
    dicomweb_certificate_file: str = ""
    dicomweb_key_file: str = ""
    dicomweb_ca_file: str = ""
    destinations: tuple[Destination, ...] = ()
    state: str = ".state/mask2seg"
    database_url: str = ""
    database_url_file: str = ""
    history_days: float = 365.0
    status_host: str = "127.0.0.1"
    status_port: int = 8043
    status_names: tuple[str, ...] = ()
    status_certificate_file: str = ""
    status_key_file: str = ""
    settle_seconds: float = 2.0
    partial_rest_seconds: float = 30.0
    poll_seconds: float = 0.25
    scan_seconds: float = 60.0
    workers: int = 1
    job_memory_mb: int = 4096
    deadline_seconds: float = 300.0
    longest_deadline_seconds: float = 3600.0
    earlier: str = "replaced"
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
    outputs: tuple[str, ...] = ("seg",)
    feature_table: str = ""
    radiomics_engine: str = ""
    radiomics_preset: str = DEFAULT_PRESET
    radiomics_resample_mm: float = 0.0
    radiomics_interpolation: str = ""
    radiomics_range: tuple[float, ...] = ()
    radiomics_outlier_sigma: float = 0.0
    radiomics_bin_width: float = 0.0
    radiomics_bins: int = 0
    radiomics_aggregations: tuple[str, ...] = ()
    labels: bool = True
    webhooks: tuple[str, ...] = ()
    webhook_secret: str = ""
    webhook_secret_file: str = ""
    webhook_template: str = ""
    mail_server: str = "localhost:587"
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()
    mail_username: str = ""
    mail_password: str = ""
    mail_password_file: str = ""
    mail_tls: str = "starttls"
    notify_on: tuple[str, ...] = ("failed", "paused", "stuck", "recovered")
    notify_per_hour: int = 60
    stuck_minutes: float = 30.0
    log_level: str = "INFO"

    def __repr__(self) -> str:
        """Settings without the secrets."""
        shown = ((f.name, getattr(self, f.name)) for f in fields(self))
        return f"Settings({', '.join(f'{n}={v!r}' for n, v in shown if n not in SECRET)})"

    def status_url(self, port: int) -> str:
        """Address of the status page: by its first name, which its certificate should hold."""
        name = self.status_names[0] if self.status_names and self.status_certificate_file else self.status_host
        host = f"[{name}]" if ":" in name and not name.startswith("[") else name
        return f"{'https' if self.status_certificate_file else 'http'}://{host}:{port}"

    @property
    def orthanc_tls(self) -> TlsFiles:
        """What is trusted and shown where Orthanc's address begins with https."""
        return TlsFiles(
            certificate_file=self.orthanc_certificate_file, key_file=self.orthanc_key_file, ca_file=self.orthanc_ca_file
        )

    @property
    def dicomweb(self) -> DicomwebAddress | None:
        """The archive, where it is not Orthanc by its REST API."""
        values = {f.name: getattr(self, f"dicomweb_{f.name}") for f in fields(DicomwebAddress)}
        return DicomwebAddress(**values) if self.dicomweb_url else None


SECRET = frozenset(
    {
        "orthanc_password",
        "orthanc_authorization",
        "service_token",
        "dicomweb_password",
        "dicomweb_token",
        "database_url",
        "webhooks",  # the address of a chat room is its password
        "webhook_secret",
        "mail_password",
    }
)
SECRET_FILES = {
    "orthanc_password_file": "orthanc_password",
    "service_token_file": "service_token",
    "database_url_file": "database_url",
    "webhook_secret_file": "webhook_secret",
    "mail_password_file": "mail_password",
}
"""Files that are read once; those of the DICOMweb archive are read for each request."""

EMBEDDED_STATE = "mask2seg"
"""Name of the state folder in Orthanc's index folder, for the service that Orthanc starts itself."""


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


def _is_url(value: str) -> bool:
    return value.startswith(("http://", "https://"))


def _are_urls(values: Sequence[str]) -> bool:
    return all(isinstance(value, str) and _is_url(value) for value in values)


def _is_server(value: str) -> bool:
    host, _, port = value.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) <= 65535


def _is_address(value: str) -> bool:
    """Whether it is empty, or one address of e-mail, and nothing that ends a line of its header."""
    return not value or (value.count("@") == 1 and value.isprintable() and not set(value) & set(" ,;<>"))


def is_database_url(value: str) -> bool:
    """Whether it is no address, or that of a PostgreSQL."""
    return not value or value.startswith(("postgresql://", "postgres://"))


SETTINGS = (
    Setting("Enable", "", "Orthanc's plugin is on: it starts the service with Orthanc, or uses the one of Service."),
    Setting("Command", "path", "The mask2seg program that the plugin starts; by default the one that it belongs to."),
    Setting(
        "Service", "URL", "Address of a service that runs elsewhere; empty to start one.", lambda v: not v or _is_url(v)
    ),
    Setting(
        "ServiceToken",
        "",
        "What the plugin and a service elsewhere share, 16 characters or more. Better: ServiceTokenFile.",
    ),
    Setting("ServiceTokenFile", "path", "File that holds this token."),
    Setting("ServiceCaFile", "path", "Authorities that may have signed its certificate (PEM), for Service with https."),
    Setting("OrthancUrl", "URL", "Address of Orthanc's REST API.", _is_url),
    Setting("OrthancAuthorization", "", "Authorization header in place of a user; the plugin sets it."),
    Setting("OrthancUsername", "", "User of Orthanc's REST API; empty for the first of RegisteredUsers, if any."),
    Setting("OrthancPassword", "", "Its password. Better: OrthancPasswordFile."),
    Setting("OrthancPasswordFile", "path", "File that holds the password."),
    Setting("OrthancCertificateFile", "path", "Certificate that this client shows Orthanc (PEM), for mutual TLS."),
    Setting("OrthancKeyFile", "path", "Its key (PEM), if it is not in the same file."),
    Setting("OrthancCaFile", "path", "Authorities that may have signed Orthanc's certificate (PEM), no others."),
    Setting("DicomwebUrl", "URL", "Root of a DICOMweb archive, in place of Orthanc's REST API: see docs/dicomweb.md."),
    Setting("DicomwebUsername", "", "User of the DICOMweb archive (HTTP basic authentication)."),
    Setting("DicomwebPassword", "", "Its password. Better: DicomwebPasswordFile."),
    Setting("DicomwebPasswordFile", "path", "File that holds the password; read anew for each request."),
    Setting("DicomwebToken", "", "Bearer token of the DICOMweb archive. Better: DicomwebTokenFile."),
    Setting("DicomwebTokenFile", "path", "File that holds the token; read anew for each request."),
    Setting("DicomwebCertificateFile", "path", "Certificate that this client shows (PEM), for mutual TLS."),
    Setting("DicomwebKeyFile", "path", "Its key (PEM), if it is not in the same file."),
    Setting("DicomwebCaFile", "path", "Authorities that may have signed the archive's certificate (PEM), no others."),
    Setting("Destinations", "list", "Places that get a copy of every result: see docs/dicomweb.md."),
    Setting("State", "path", "Folder of all state of the service; with Enable, mask2seg in Orthanc's IndexDirectory."),
    Setting(
        "DatabaseUrl",
        "URL",
        "PostgreSQL for jobs and memory in place of a file in State: see docs/scale.md. Better: DatabaseUrlFile.",
        is_database_url,
    ),
    Setting("DatabaseUrlFile", "path", "File that holds this address, which has a password in it."),
    Setting("HistoryDays", "days", "Ended jobs are forgotten after so long; what was converted is not.", _positive),
    Setting(
        "StatusHost", "", "Address that the status page listens on; not of this machine alone: with TLS and a token."
    ),
    Setting("StatusPort", "", "Port of the status page; 0 turns it off.", lambda v: 0 <= v <= 65535),
    Setting("StatusNames", "list", "Names that browsers may call the status page by, beside those of this machine."),
    Setting("StatusCertificateFile", "path", "Certificate of the status page (PEM): it is then served by TLS."),
    Setting("StatusKeyFile", "path", "Its key (PEM), if it is not in the same file."),
    Setting("SettleSeconds", "s", "A complete mask that has been quiet for so long is converted.", _not_negative),
    Setting("PartialRestSeconds", "s", "A mask that lacks slices of its source waits so long for more.", _not_negative),
    Setting("PollSeconds", "s", "Time between two looks at Orthanc's journal.", _positive),
    Setting(
        "ScanSeconds",
        "s",
        "Time between two scans of all series, which find what the journal lost; where a scan costs much, 20 times its "
        "cost.",
        _positive,
    ),
    Setting("Workers", "", "Masks converted at the same time.", lambda v: 1 <= v <= 64),
    Setting("JobMemoryMb", "MB", "Most memory of one conversion; 0: no limit.", lambda v: v == 0 or v >= 256),
    Setting("DeadlineSeconds", "s", "A conversion may take so long, and more by the size of its series.", _positive),
    Setting("LongestDeadlineSeconds", "s", "No conversion may take longer, whatever its size.", _positive),
    Setting(
        "Earlier",
        "",
        "The SEG of an earlier version of a mask is replaced, kept, or versioned: see docs/versions.md.",
        lambda v: v in {"replaced", "kept", "versioned"},
    ),
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
    Setting(
        "Outputs",
        "list",
        "What is made of each mask: seg, sr, csv, json, rtstruct, nrrd, nifti, preview, capture; see docs/outputs.md.",
    ),
    Setting(
        "FeatureTable",
        "path",
        "CSV file of a project that the features of every segmentation are added to, where Outputs has csv; see "
        "docs/outputs.md.",
    ),
    Setting(
        "RadiomicsEngine",
        "",
        "z-rad or pyradiomics; empty: the first of them that is installed.",
        lambda v: not v or v in set(EngineName),
    ),
    Setting(
        "RadiomicsPreset",
        "",
        "How images are prepared for radiomics: slicer, or ibsi-a to ibsi-e; or none.",
        PRESETS.__contains__,
    ),
    Setting("RadiomicsResampleMm", "mm", "Voxel size to resample to; 0: as the preset has it.", _not_negative),
    Setting(
        "RadiomicsInterpolation",
        "",
        "nearest, linear or spline; empty: as the preset has it.",
        lambda v: not v or v in set(Interpolation),
    ),
    Setting("RadiomicsRange", "list", "Lowest and highest value of a region; empty: as the preset has it."),
    Setting(
        "RadiomicsOutlierSigma",
        "",
        "Values further from the mean than so many standard deviations are left out; 0: as the preset has it.",
        _not_negative,
    ),
    Setting("RadiomicsBinWidth", "", "Width of grey levels; 0: as the preset has it.", _not_negative),
    Setting("RadiomicsBins", "", "Number of grey levels; 0: as the preset has it.", _not_negative),
    Setting("RadiomicsAggregations", "list", "Aggregations of texture; empty: as the preset has it."),
    Setting("Labels", "", "Label mask series in Orthanc 1.12 and later: mask2seg-mask, -converted, -refused."),
    Setting("Webhooks", "list", "Addresses that are told of events (POST): see docs/notifications.md.", _are_urls),
    Setting("WebhookSecret", "", "What messages to them are signed with. Better: WebhookSecretFile."),
    Setting("WebhookSecretFile", "path", "File that holds it."),
    Setting("WebhookTemplate", "path", "Jinja2 template of their body, in place of the plain JSON."),
    Setting("MailServer", "", "HOST:PORT of the server that takes e-mail.", _is_server),
    Setting("MailFrom", "", "Sender of the e-mail.", _is_address),
    Setting("MailTo", "list", "Who gets it; empty for nobody.", lambda v: all(map(_is_address, v)) and "" not in v),
    Setting("MailUsername", "", "User of this server; empty to log in nowhere."),
    Setting("MailPassword", "", "Its password. Better: MailPasswordFile."),
    Setting("MailPasswordFile", "path", "File that holds it."),
    Setting("MailTls", "", "starttls, tls, or none.", lambda v: v in {"starttls", "tls", "none"}),
    Setting(
        "NotifyOn",
        "list",
        "Events that are told: converted, refused, failed, paused, stuck, recovered.",
        lambda v: set(v) <= {"converted", "refused", "failed", "paused", "stuck", "recovered"},
    ),
    Setting("NotifyPerHour", "", "Most messages to each; what is left out is counted in the next one.", _positive),
    Setting("StuckMinutes", "min", "A queue whose oldest job has waited for so long stands still.", _positive),
    Setting("LogLevel", "", "DEBUG, INFO, WARNING or ERROR.", lambda v: v in {"DEBUG", "INFO", "WARNING", "ERROR"}),
)
