"""The HTTP client of one DICOMweb archive, and the one door where foreign exceptions become ours.

dicomweb-client builds the searches and reads their answers; the bytes of instances go through the same session. It
holds few connections, follows no redirect, reads no proxy variable and no .netrc, asks for uncompressed answers, and
gives up on an answer that is too large or does not end. Addresses that the archive hands out (RetrieveURL,
BulkDataURI) are never used.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import requests
import urllib3
from dicomweb_client import DICOMwebClient
from requests.auth import AuthBase, HTTPBasicAuth

from orthanc_mask2seg.addresses import DicomwebAddress
from orthanc_mask2seg.errors import (
    ArchiveDenied,
    ArchiveGarbled,
    ArchiveRejected,
    ArchiveUnreachable,
    ConfigurationError,
)
from orthanc_mask2seg.pacs.multipart import DICOM, packed, parts_of
from orthanc_mask2seg.pacs.transfer import (
    HEADERS,
    MAX_INDEX_BYTES,
    MAX_INSTANCE_BYTES,
    Adapter,
    ConnectionDropped,
    Upload,
    answer_seconds,
    fault_of,
    quieten,
    received,
    repeated,
)

CONNECTIONS = 8
"""Most connections to one archive at a time."""

WRAPPING_BYTES = 1 << 16
"""Room for what `multipart/related` puts around an instance."""

ORIGINAL = f'multipart/related; type="{DICOM}"; transfer-syntax=*'
"""Accepts an instance in the transfer syntax that it was stored in (PS3.18 section 8.7.3.5.2)."""

JSON = "application/dicom+json"
DENIED_HINT = "Check the user name and password, token or certificate of the DICOMweb archive."
UNREACHABLE_HINT = "Check that the DICOMweb archive runs, and its address."
TLS_HINT = "Check the certificate of the DICOMweb archive and DicomwebCaFile; if it asks for one, also ours."

Record = dict[str, Any]
"""A data set in the DICOM JSON model (PS3.18 annex F)."""

_DROPPED = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError)
_NOT_UNDERSTOOD = (ValueError, TypeError, KeyError, AttributeError, RecursionError)

T = TypeVar("T")


class DicomwebHttp:
    """Requests to one DICOMweb archive.

    Parameters
    ----------
    timeout
        Longest silence inside one answer, in seconds.
    max_bytes
        Largest DICOM file that is taken.
    """

    def __init__(self, address: DicomwebAddress, timeout: float, *, max_bytes: int = MAX_INSTANCE_BYTES) -> None:
        quieten("urllib3")
        logging.getLogger("dicomweb_client").setLevel(logging.ERROR)  # it tells what is searched for
        self.url = address.url.rstrip("/")
        self._timeout = timeout
        self._max_bytes = max_bytes + WRAPPING_BYTES
        self._session = _Session(address, answer_seconds(timeout), self._max_bytes)
        self._client = DICOMwebClient(self.url, self._session, permissive_uid=True, timeout=(timeout, timeout))
        self._client.set_http_retry_params(retry=False)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def records(self, what: str, call: Callable[[DICOMwebClient], Any]) -> list[Record]:
        """Search, or ask for metadata."""

        def send() -> Any:
            with self._guarded(what):
                return call(self._client)

        found = repeated(send)
        if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
            raise ArchiveGarbled(f"The archive's answer on {what} is not understood")
        return found

    def files(self, what: str, path: str) -> list[bytes]:
        """Download the DICOM files below a path, as they were stored."""

        def send() -> requests.Response:
            with self._guarded(what):
                return self._request("GET", path, headers={"Accept": ORIGINAL})

        answer = repeated(send)
        return parts_of(answer.content, answer.headers.get("Content-Type", ""))

    def store(self, content: bytes) -> tuple[int, Record]:
        """Send one DICOM file, once; returns the status and the answer, {} where there is none."""
        body, media_type = packed(content)
        headers = {"Content-Type": media_type, "Accept": JSON}
        upload = Upload(body, answer_seconds(self._timeout))
        with self._guarded("a store"):
            answer = self._request("POST", "/studies", headers=headers, data=upload)
        try:
            document = answer.json()
        except (ValueError, RecursionError):
            document = {}
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        return answer.status_code, document if isinstance(document, dict) else {}

    def delete(self, path: str) -> int:
        """Ask for a deletion, which the standard does not know, and return the status."""
        with self._guarded("a deletion"):
            return self._request("DELETE", path).status_code

    def _request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, data: io.BytesIO | None = None
    ) -> requests.Response:
        timeouts = (self._timeout, self._timeout)
        return self._session.request(method, f"{self.url}{path}", headers=headers, data=data, timeout=timeouts)

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """Translate what the HTTP libraries raise; their messages hold URLs and stay behind."""
        try:
            yield
        except _Answered as answer:
            kind = fault_of(answer.status)
            hint = DENIED_HINT if kind is ArchiveDenied else ""
            raise kind(f"The archive answered {answer.status} to {what}", hint=hint) from None
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            message = f"The archive did not answer to {what} within {self._timeout:g} s"
            raise ArchiveUnreachable(message, hint=UNREACHABLE_HINT) from None
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError):
            raise ArchiveUnreachable("No TLS connection that can be trusted", hint=TLS_HINT) from None
        except _DROPPED as error:
            message = f"The archive cannot be reached ({type(error).__name__})"
            raise ConnectionDropped(message, hint=UNREACHABLE_HINT) from None
        except _NOT_UNDERSTOOD as error:
            raise ArchiveGarbled(f"The archive's answer on {what} is not understood ({type(error).__name__})") from None
        except (requests.RequestException, OSError) as error:
            raise ArchiveRejected(f"The request for {what} failed ({type(error).__name__})") from None


class _Answered(Exception):
    """The archive answered with a status that is no success."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Session(requests.Session):
    """requests' session within our limits, also where dicomweb-client uses it."""

    def __init__(self, address: DicomwebAddress, seconds: float, max_bytes: int) -> None:
        super().__init__()
        self._seconds, self._max_bytes = seconds, max_bytes
        self.trust_env = False
        self.headers.update(HEADERS)
        self.auth = _auth_of(address)
        self.verify = _there(address.ca_file) or True
        if address.certificate_file:
            certificate, key = _there(address.certificate_file), _there(address.key_file)
            self.cert = (certificate, key) if key else certificate
        adapter = Adapter(CONNECTIONS, seconds)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send, read the answer, and raise where it is no success: only a POST is read in any case."""
        request.headers.pop("Host", None)  # dicomweb-client leaves the port out
        response = super().send(request, **{**kwargs, "stream": True, "allow_redirects": False})
        with response:
            status, wants_files = response.status_code, "multipart" in request.headers.get("Accept", "")
            body = received(response.raw, self._max_bytes if wants_files else MAX_INDEX_BYTES, self._seconds)
        response.raw = io.BytesIO(body)
        success = requests.codes.ok <= status < requests.codes.multiple_choices
        redirected = requests.codes.multiple_choices <= status < requests.codes.bad_request
        if redirected or not (success or request.method in {"POST", "DELETE"}):
            raise _Answered(status)
        return response

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        """Nowhere: what an archive redirects to has not been configured."""
        return None


class _Auth(AuthBase):
    """Adds the credentials to each request, read anew where they are in a file."""

    def __init__(self, address: DicomwebAddress) -> None:
        self._address = address

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        address = self._address
        if address.username:
            password = _secret(address.password_file) if address.password_file else address.password
            basic = HTTPBasicAuth(address.username.encode(), password.encode())
            return basic(request)  # type: ignore[no-any-return]
        token = _secret(address.token_file) if address.token_file else address.token
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ArchiveDenied("The bearer token is not one line of plain characters", hint=DENIED_HINT)
        request.headers["Authorization"] = f"Bearer {token}"
        return request


def _auth_of(address: DicomwebAddress) -> AuthBase | None:
    return _Auth(address) if address.username or address.token or address.token_file else None


def _secret(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise ArchiveDenied("The file of the password or token cannot be read", hint=DENIED_HINT) from None


def _there(path: str) -> str:
    if path and not Path(path).is_file():
        raise ConfigurationError("A file of a certificate or key for DICOMweb is not there")
    return path
