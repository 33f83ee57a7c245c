"""Faults, in one tree.

An expected "no" is a `Refusal` (see `model`), never an exception. What is raised here is a fault, and each says who
can mend it and whether trying again helps:

* Mask2SegError
  + ConfigurationError        the site's settings are wrong; the user mends them
  + ArchiveError              the PACS did not do what was asked
    - ArchiveUnreachable      no connection, or no answer in time; try again
    - ArchiveBusy             it answered 429 or 5xx; try again
      . ArchiveFull           its disk is full, or it takes nothing in; the site makes room, the service waits
      . ArchiveDamaged        its file of an instance is not what it received; the site sends it again; try again
    - ArchiveDenied           401 or 403; the user mends the credentials
    - ArchiveForbidden        it lets us in, and forbids this one thing; the user mends the rights; try again
    - ArchiveRejected         it will not take this; trying again does not help
      . ArchiveGarbled        its answer is none: something between may have answered instead; try again
    - NotInArchive            the series or instance is not there
    - NotSupported            it has no such function
    - StoreMismatch           what the PACS holds is not what was sent
      . StoreVanished         it said that it has stored, and holds nothing; try again
  + VerificationError         the encoded SEG does not hold the mask's voxels; nothing is stored
  + StateError                the state folder is in use or unreadable
  + WorkerError               the process that works on a job did not come to an end
    - WorkerDied              it died: a crash, or the system killed it
    - DeadlineExceeded        it took longer than the job may, and was ended
    - OutOfMemory             the job needs more memory than it may have
  + InternalError             a fault that nobody foresaw
"""

from __future__ import annotations


class Mask2SegError(Exception):
    """The operation failed."""

    code = "failed"
    retryable = False
    hint = ""

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])
        if hint:
            self.hint = hint


class ConfigurationError(Mask2SegError):
    """The configuration is not valid."""

    code = "configuration_error"
    hint = "Correct the named setting in orthanc.json or in the environment."


class ArchiveError(Mask2SegError):
    """The PACS did not do what was asked."""

    code = "archive_error"


class ArchiveUnreachable(ArchiveError):
    """The PACS cannot be reached."""

    code = "archive_unreachable"
    retryable = True
    hint = "Check that the PACS runs, and its address (OrthancUrl)."


class ArchiveBusy(ArchiveError):
    """The PACS cannot take this now."""

    code = "archive_busy"
    retryable = True
    hint = "Check the free disk space and the log of the PACS; the work is tried again."


class ArchiveFull(ArchiveBusy):
    """The PACS takes nothing in: its disk is full or read-only."""

    code = "archive_full"
    hint = "Make room for the PACS, or let it write again; the service waits and goes on by itself."


class ArchiveDamaged(ArchiveBusy):
    """The PACS lists an instance and cannot give its file as it was received."""

    code = "archive_damaged"
    hint = "The disk of the PACS may have been full or broken: send the series again; the work is tried again."


class ArchiveDenied(ArchiveError):
    """The PACS refused the credentials."""

    code = "archive_denied"
    retryable = True
    hint = "Check OrthancUsername and OrthancPassword (or OrthancPasswordFile)."


class ArchiveForbidden(ArchiveError):
    """The PACS lets us in, and forbids this."""

    code = "archive_forbidden"
    retryable = True
    hint = "Check what the user of mask2seg may read, label and delete in the PACS; the work is tried again."


class ArchiveRejected(ArchiveError):
    """The PACS will not take this."""

    code = "archive_rejected"
    hint = "See the log of the PACS for its reason."


class ArchiveGarbled(ArchiveRejected):
    """What answered does not speak as the PACS does."""

    code = "archive_garbled"
    retryable = True
    hint = "Something between mask2seg and the PACS may have answered in its place; the work is tried again."


class NotInArchive(ArchiveError):
    """The PACS does not hold this."""

    code = "not_in_archive"
    hint = "Check the identifier; the series may have been deleted meanwhile."


class NotSupported(ArchiveError):
    """The PACS has no such function."""

    code = "not_supported"


class StoreMismatch(ArchiveError):
    """What the PACS holds after storing is not what was sent."""

    code = "store_mismatch"
    hint = "Look for filters and scripts in the PACS that change or drop incoming instances."


class StoreVanished(StoreMismatch):
    """The PACS said that it has stored, and does not hold it."""

    code = "store_vanished"
    retryable = True
    hint = "Check the free disk space, the filters and the scripts of the PACS; the work is tried again."


class ChangedMeanwhile(Mask2SegError):
    """What the work rests on has changed while it was done; done again, it rests on what is there then."""

    code = "changed_meanwhile"
    retryable = True
    hint = "Nothing needs to be done: the work is tried again."


class VerificationError(Mask2SegError):
    """The encoded segmentation does not hold the voxels of the mask."""

    code = "verification_failed"
    hint = "Nothing was stored. Please report this with the output of 'mask2seg explain'."


class StateError(Mask2SegError):
    """The state folder cannot be used."""

    code = "state_error"
    hint = "Only one service may use a state folder at a time."


class WorkerError(Mask2SegError):
    """The process that worked on a job did not come to an end."""

    code = "worker_died"
    hint = "See the log of the service, then 'mask2seg jobs retry'."


class WorkerDied(WorkerError):
    """The process that worked on this series died."""


class DeadlineExceeded(WorkerError):
    """The work on this series took longer than it may."""

    code = "deadline_exceeded"
    hint = "Is the PACS very slow? See DeadlineSeconds; then 'mask2seg jobs retry'."


class OutOfMemory(WorkerError):
    """The work on this series needs more memory than it may have."""

    code = "too_large"
    hint = "If this is a real mask, raise JobMemoryMb, then 'mask2seg jobs retry'."


class InternalError(Mask2SegError):
    """A fault that nobody foresaw."""

    code = "internal_error"
    hint = "This is a defect of the service. Please report it with the output of 'mask2seg explain'."
