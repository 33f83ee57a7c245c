"""Instances on their way to and from an Orthanc, each proven byte for byte by the MD5 that Orthanc keeps of it."""

from __future__ import annotations

from typing import Any

import requests

from orthanc_mask2seg.errors import (
    ArchiveDamaged,
    ArchiveFull,
    ArchiveGarbled,
    ArchiveRejected,
    ArchiveUnreachable,
    NotInArchive,
    StoreMismatch,
    StoreVanished,
)
from orthanc_mask2seg.model import ArchiveKey, Receipt
from orthanc_mask2seg.pacs.orthanc_http import STORE, OrthancHttp, check, orthanc_status
from orthanc_mask2seg.pacs.orthanc_json import MD5, checked_id, understood
from orthanc_mask2seg.pacs.part10 import Identity, digest_of, identity_of
from orthanc_mask2seg.pacs.transfer import ConnectionDropped

ALREADY_STORED = "AlreadyStored"
FILTERED_OUT = "FilteredOut"


class OrthancStore:
    """Uploads, downloads and deletes instances.

    Parameters
    ----------
    verify_downloads
        Compare what was downloaded with the MD5 that Orthanc computed on arrival, which comes with it.
    """

    def __init__(self, http: OrthancHttp, *, verify_downloads: bool) -> None:
        self._http = http
        self._verify_downloads = verify_downloads

    def content(self, instance: ArchiveKey) -> bytes:
        """The DICOM file of an instance, compared with the MD5 that Orthanc keeps."""
        if not self._verify_downloads:
            return self._downloaded(instance)[0]
        kept = None
        for _ in range(2):
            content, tag = self._downloaded(instance)
            digest = digest_of(content)
            told = tag.strip('"').rpartition("-")[2]
            if told == digest:
                return content
            kept = self._kept_digest(instance)
            if kept == digest:
                return content
            if kept is None and not MD5.fullmatch(told):
                _identity(content)
                return content
        if self._is_damaged(instance, str(kept)):
            raise ArchiveDamaged("Orthanc's file of an instance is not what it received")
        raise ArchiveUnreachable("An instance arrives with other bytes than Orthanc took in")

    def store(self, content: bytes) -> Receipt:
        """Store a DICOM file and prove that it is there, byte for byte.

        Orthanc acknowledges what it writes on a full disk, and keeps the MD5 of what it received beside an empty
        file: so it is made to compare the two. A file that is damaged, and whose MD5 says that it was this one, is
        sent again.
        """
        identity, digest = identity_of(content), digest_of(content)
        key = identity.instance_key
        held = self._held_digest(key)
        if held == digest and self._is_damaged(key, digest):
            self.delete(key)
            held = None
        if held is not None:
            _prove(held, digest)
            return _receipt(identity, key, created=False)
        reply = self._sent(content, identity, digest)
        with understood("a store"):
            status, key = reply["Status"], ArchiveKey(checked_id(reply["ID"]))
        if status == FILTERED_OUT:
            raise StoreMismatch("Orthanc dropped the instance (FilteredOut)")
        _prove(self._held_digest(key), digest)
        if self._is_damaged(key, digest):
            raise ArchiveFull("Orthanc acknowledged an instance and holds a damaged file of it")
        return _receipt(identity, key, created=status != ALREADY_STORED)

    def delete(self, instance: ArchiveKey) -> None:
        """Delete one instance; nothing happens where it is gone already."""
        key = checked_id(instance)
        try:
            self._http.index("a deletion", lambda client: client.delete_instances_id(key))
        except NotInArchive:
            return

    def _downloaded(self, instance: ArchiveKey) -> tuple[bytes, str]:
        """The file of an instance, and its ETag: a revision and the MD5 that Orthanc keeps."""
        return self._http.fetch_tagged("an instance", f"{_file(instance)}/data")

    def _kept_digest(self, instance: ArchiveKey) -> str | None:
        """MD5 that Orthanc computed when the instance arrived; None where it keeps none, or no such instance."""
        path = f"{_file(instance)}/md5"
        try:
            digest = self._http.fetch("a digest", path)
        except NotInArchive:
            return None
        text = digest.decode("ascii", "replace").strip().lower()
        if text and not MD5.fullmatch(text):
            raise ArchiveGarbled("The answer on a digest is none, so it may not be Orthanc's")
        return text or None

    def _held_digest(self, instance: ArchiveKey) -> str | None:
        """MD5 of what Orthanc holds, downloaded where it keeps no digests; None where there is no such instance."""
        digest = self._kept_digest(instance)
        if digest is not None:
            return digest
        try:
            content = self._downloaded(instance)[0]
        except NotInArchive:
            return None
        if _identity(content).instance_key != instance:
            raise ArchiveGarbled("Another instance was answered than was asked for")
        return digest_of(content)

    def _is_damaged(self, instance: ArchiveKey, digest: str) -> bool:
        """Whether the file on Orthanc's disk is another one than its index says: it is asked, then read.

        Orthanc answers 400 where they differ, and where it keeps no digests; 500 where it cannot read the file.
        """
        if self._http.asked("POST", f"{_file(instance)}/verify-md5")[0] == requests.codes.ok:
            return False
        status, body = self._http.asked("GET", f"{_file(instance)}/data")
        if status == requests.codes.not_found:
            return False
        if status == requests.codes.internal_server_error and orthanc_status(body) is not None:
            return True
        check("an instance", status, body)
        return digest_of(body) != digest

    def _sent(self, content: bytes, identity: Identity, digest: str) -> dict[str, Any]:
        """Post, and post again where the reply is lost and the instance is not there: the bytes are the same."""
        try:
            return self._posted(content)
        except ArchiveUnreachable as error:
            if self._held_digest(identity.instance_key) == digest:
                return {"Status": "Success", "ID": identity.instance_key}
            if not isinstance(error, ConnectionDropped):
                raise
        reply = self._posted(content)
        if reply.get("Status") == ALREADY_STORED:  # by our first attempt, which nobody acknowledged
            reply["Status"] = "Success"
        return reply

    def _posted(self, content: bytes) -> dict[str, Any]:
        try:
            reply = self._http.post(STORE, "/instances", content)
        except NotInArchive as error:
            raise ArchiveRejected(str(error), hint="A UID is missing in the instance.") from None
        if not isinstance(reply, dict):
            raise ArchiveRejected("Orthanc's answer on a store is not understood")
        return reply


def _file(instance: ArchiveKey) -> str:
    return f"/instances/{checked_id(instance)}/attachments/dicom"


def _identity(content: bytes) -> Identity:
    """Whose file it is; a page of some proxy is nobody's."""
    try:
        return identity_of(content)
    except ArchiveRejected:
        raise ArchiveGarbled("The answer on an instance is no DICOM file, so it may not be Orthanc's") from None


def _prove(held: str | None, digest: str) -> None:
    if held is None:
        raise StoreVanished("Orthanc said that the instance is stored, and does not hold it")
    if held != digest:
        raise StoreMismatch(f"Orthanc holds this instance with other bytes (MD5 {held}) than were sent (MD5 {digest})")


def _receipt(identity: Identity, key: ArchiveKey, *, created: bool) -> Receipt:
    return Receipt(
        key=key,
        sop_instance_uid=identity.sop_instance_uid,
        series_instance_uid=identity.series_instance_uid,
        created=created,
    )
