"""Where archives are reached and results go: checked and complete, with the credentials, which are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomwebAddress:
    """A DICOMweb archive and how to log in there.

    Attributes
    ----------
    url
        Root of the service: `/studies` and `/series` lie below it.
    username, password, password_file
        HTTP basic authentication.
    token, token_file
        Bearer token, instead.
    certificate_file, key_file
        Certificate of this client and its key, in PEM; the key may be in the same file.
    ca_file
        The only authorities that may have signed the server's certificate, in PEM; '' for those that are built in.

    Files of secrets are read anew for every request, so that they can be changed at any time.

    Raises
    ------
    ValueError
        These do not go together. The message names them as in orthanc.json and shows no value.
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    token: str = field(default="", repr=False)
    token_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("Url must be an address such as https://pacs.example/dicom-web")
        if "@" in parts.netloc:
            raise ValueError("Url must not hold a name or password: use Username and PasswordFile")
        if self.username and (self.token or self.token_file):
            raise ValueError("either Username or Token is possible, not both")
        if self.key_file and not self.certificate_file:
            raise ValueError("KeyFile needs CertificateFile")
        if (self.certificate_file or self.ca_file) and parts.scheme != "https":
            raise ValueError("certificates need an address with https")

    @property
    def place(self) -> str:
        """The address without scheme: a name that may be shown."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}".rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """What a client of TLS trusts and shows; '' where it is nothing of its own.

    Attributes
    ----------
    certificate_file, key_file
        Certificate of this client and its key, in PEM; the key may be in the same file.
    ca_file
        The only authorities that may have signed the server's certificate, in PEM; '' for those that are built in.

    Raises
    ------
    ValueError
        There is a key and no certificate.
    """

    certificate_file: str = ""
    key_file: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        if self.key_file and not self.certificate_file:
            raise ValueError("KeyFile needs CertificateFile")

    @property
    def any(self) -> bool:
        """Whether anything is set."""
        return bool(self.certificate_file or self.ca_file)


class DestinationKind(StrEnum):
    """Ways to send a result on."""

    DICOMWEB = "dicomweb"
    PEER = "peer"
    MODALITY = "modality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A place that gets a copy of every result.

    Attributes
    ----------
    name
        Of the peer or modality in Orthanc's configuration; of a DICOMweb archive as the site likes.
    dicomweb
        The archive, where it is one.
    """

    kind: DestinationKind
    name: str
    dicomweb: DicomwebAddress | None = None

    @property
    def label(self) -> str:
        """What jobs call it."""
        return f"{self.kind}:{self.name}"


_DICOMWEB = {
    "Url": "url",
    "Username": "username",
    "Password": "password",
    "PasswordFile": "password_file",
    "Token": "token",
    "TokenFile": "token_file",
    "CertificateFile": "certificate_file",
    "KeyFile": "key_file",
    "CaFile": "ca_file",
}


def parse_destination(document: Any, base: Path) -> Destination:
    """Read a destination as orthanc.json has it.

    Parameters
    ----------
    base
        Folder that paths are relative to.

    Raises
    ------
    ValueError
        It is not right. The message shows no value.
    """
    if not isinstance(document, Mapping) or not all(isinstance(value, str) for value in document.values()):
        raise ValueError("a destination is an object of texts")
    kinds = [str(kind) for kind in DestinationKind]
    if document.get("Kind") not in kinds:
        raise ValueError(f"Kind must be one of {', '.join(kinds)}")
    kind = DestinationKind(document["Kind"])
    allowed = {"Kind", "Name", *(_DICOMWEB if kind is DestinationKind.DICOMWEB else ())}
    unknown = sorted(set(document) - allowed)
    if unknown:
        raise ValueError(f"{unknown[0]} is not known for {kind}; known are {', '.join(sorted(allowed))}")
    name = document.get("Name", "").strip()
    if kind is not DestinationKind.DICOMWEB:
        if not name or "/" in name:
            raise ValueError(f"Name must be that of a {kind} in Orthanc's configuration")
        return Destination(kind=kind, name=name)
    values = {_DICOMWEB[key]: document[key] for key in _DICOMWEB.keys() & document.keys()}
    for key in [key for key in values if key.endswith("_file") and values[key]]:
        values[key] = str(base / values[key])
    address = DicomwebAddress(**{"url": "", **values})
    return Destination(kind=kind, name=name or address.place, dicomweb=address)
