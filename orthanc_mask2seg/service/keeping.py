"""Storing for the service: once, never for what is gone, and never two that look current.

What will be stored is written down before, so that a sudden end at any moment leaves nothing behind that nobody knows
of: the job runs again, and either stores the same or takes back what it had announced. A host may also stand still at
any moment and wake up when another one has done its work and more: so it looks again, after it has stored, at all that
the store rests on, and what is written down is exchanged only for what was read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core import versions
from orthanc_mask2seg.errors import ArchiveDamaged, ChangedMeanwhile, Mask2SegError, NotInArchive
from orthanc_mask2seg.jobs.port import JobRequest, Outputs, Stored, StoredState
from orthanc_mask2seg.model import ArchiveKey, EarlierOutput, Receipt, Segmentation, Series
from orthanc_mask2seg.pacs.part10 import identity_of
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.forgotten import Forgotten, forgotten
from orthanc_mask2seg.service.retiring import Retirer, beside, digest_at, is_beside, reported
from orthanc_mask2seg.service.storing import Gone, Kept, held_at, store, store_beside


@dataclass(frozen=True, slots=True)
class Keeper:
    """Stores what one job makes.

    Attributes
    ----------
    outputs
        The ledger's knowledge of what was stored.
    """

    outputs: Outputs
    settings: Settings
    request: JobRequest

    @property
    def job(self) -> str:
        """Name of the job."""
        return self.request.job_id or self.request.key

    def __call__(
        self, archive: Archive, segmentation: Segmentation, masks: Sequence[Series], source: Series
    ) -> Kept | Gone:
        """Store, unless mask or source are gone; then retire what was stored for earlier versions."""
        key = self._key(source)
        before = self.outputs.stored(key)
        study = self._study(archive, source)
        gone = self._gone(study, masks, source)
        if gone is not None:
            self.withdraw(archive)
            return gone
        lost = forgotten(archive, masks, study, {row.orthanc_id for row in before})
        base, number = segmentation, self._number(segmentation, before, lost)
        segmentation = versions.numbered(base, number)
        row = replace(
            self._row(archive, key, segmentation.content, source),
            base_uid=base.sop_instance_uid,
            number=number,
        )
        there = self.outputs.stored_at(row.orthanc_id)
        current = there is not None and there.state is StoredState.CURRENT
        held = held_at(archive, segmentation, row.orthanc_id) if current else None
        ours = there is not None
        if held is None:
            self._exchange(row, there)
            with self._remembered(row):
                held = store(archive, segmentation)
            there = row
        gone = self._gone(self._study(archive, source), masks, source)
        if gone is not None:
            self._undo(archive, row, gone, sent=held[0].created, ours=ours)
            self.withdraw(archive)
            return gone
        known = {*(each.orthanc_id for each in before), row.orthanc_id}
        receipt, content = held
        proven = tuple(each.row(key) for each in lost if each.sha256)
        earlier = self._made_current(
            archive, replace(row, sha256=digest_at(row.orthanc_id, content)), there, known, proven
        )
        return earlier if isinstance(earlier, Gone) else Kept(receipt=receipt, content=content, earlier=earlier)

    def _row(self, archive: Archive, key: ArchiveKey, content: bytes, source: Series | None = None) -> Stored:
        """What is written down of a file that is about to be stored."""
        identity, address = identity_of(content), archive.address_of(content)
        row = Stored(
            series_key=key,
            orthanc_id=address,
            sop_instance_uid=identity.sop_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            state=StoredState.ANNOUNCED,
            job_id=self.job,
            sha256=digest_at(address, content),
        )
        return row if source is None else replace(row, source_series_uid=source.series_instance_uid)

    def _exchange(self, row: Stored, there: Stored | None) -> None:
        """Write it down in place of what was read."""
        if not self.outputs.exchange_stored(row, there):
            raise ChangedMeanwhile("Another worker has stored at the same place meanwhile")

    @contextmanager
    def _remembered(self, row: Stored) -> Iterator[None]:
        """See that it is still written down: who took this job over may have taken it back before it was stored.

        Also where the archive gives no answer: it may have stored it all the same.
        """
        try:
            yield
        except Mask2SegError:
            self._remember(row)
            raise
        self._remember(row)

    def _remember(self, row: Stored) -> None:
        if self.outputs.stored_at(row.orthanc_id) is None:
            self.outputs.exchange_stored(row, None)

    def _made_current(
        self,
        archive: Archive,
        row: Stored,
        there: Stored | None,
        known: Collection[ArchiveKey],
        more: Sequence[Stored] = (),
    ) -> tuple[EarlierOutput, ...] | Gone:
        """Retire what was stored before, now that this is there.

        Parameters
        ----------
        there
            What is written down of it.
        known
            Addresses of what was known when the work began: what has come since may be newer than this.
        more
            What else is to be retired.
        """
        now = self.outputs.stored(row.series_key)
        if any(each.orthanc_id not in known and each.state is not StoredState.SUPERSEDED for each in now):
            raise ChangedMeanwhile("Another segmentation of this mask was stored meanwhile")
        others = [each for each in (*now, *more) if each.orthanc_id != row.orthanc_id]
        earlier = [self._retired(archive, each) for each in others]
        if not self.outputs.exchange_stored(replace(row, state=StoredState.CURRENT), there):
            now_there = self.outputs.stored_at(row.orthanc_id)
            if now_there is None or now_there.state is not StoredState.CURRENT:
                return Gone(reason="superseded", detail="A newer version of the series was converted meanwhile.")
        return tuple(one for one in earlier if one is not None)

    def _retired(self, archive: Archive, old: Stored) -> EarlierOutput | None:
        return Retirer(self.outputs, self.settings.earlier).retired(archive, old)

    def keep_beside(
        self, archive: Archive, seg: ArchiveKey, content: bytes, masks: Sequence[Series], source: Series
    ) -> Receipt | Gone:
        """Store what was made of a segmentation, unless mask or source are gone; it goes when the segmentation goes."""
        gone = self._gone(self._study(archive, source), masks, source)
        if gone is not None:
            return gone
        row = self._row(archive, beside(seg), content)
        there = self.outputs.stored_at(row.orthanc_id)
        self._exchange(row, there)
        with self._remembered(row):
            receipt = store_beside(archive, content)
        gone = self._gone(self._study(archive, source), masks, source)
        if gone is not None:
            self._undo(archive, row, gone, sent=receipt.created, ours=there is not None)
            return gone
        self._exchange(replace(row, state=StoredState.CURRENT), row)
        return receipt

    def withdraw(self, archive: Archive) -> None:
        """Take back what this job had announced and did not come to an end with: its mask is gone, or another one."""
        for row in self.outputs.announced(self.job):
            self._take_back(archive, row)

    def let_stand(self, archive: Archive) -> None:
        """Keep what this job had announced, if it is there and whole, though it would not be made now.

        It is right for its mask. And it may be what another service stored, which has told people of it.
        """
        for row in self.outputs.announced(self.job):
            try:
                archive.content(row.orthanc_id)
            except NotInArchive:
                self.outputs.drop_stored(row)
            except ArchiveDamaged:
                self._take_back(archive, row)
            else:
                self._leave(archive, row)

    def _leave(self, archive: Archive, row: Stored) -> None:
        if is_beside(row):
            self.outputs.exchange_stored(replace(row, state=StoredState.CURRENT), row)
            return
        known = {each.orthanc_id for each in self.outputs.stored(row.series_key)}
        self._made_current(archive, row, row, known)

    def _key(self, source: Series) -> ArchiveKey:
        """What a SEG is the newest of: its mask series or, where masks are merged, all masks of its source."""
        if self.settings.merge == "series":
            return self.request.series_key
        return ArchiveKey(f"{self.request.study_instance_uid} {source.series_instance_uid}")

    def _study(self, archive: Archive, source: Series) -> dict[ArchiveKey, Series]:
        """All series of the study of the mask, and of that of its source, as they are now."""
        uids = {self.request.study_instance_uid, source.study_instance_uid}
        return {series.key: series for uid in sorted(uids) for series in archive.series_of_study(uid)}

    def _gone(self, study: Mapping[ArchiveKey, Series], masks: Sequence[Series], source: Series) -> Gone | None:
        """Why there is nothing to be stored (any more)."""
        for series in masks:
            now = study.get(series.key)
            if now is None:
                return Gone(reason="deleted", detail="The mask was deleted while it was worked on.")
            if series.key == self.request.series_key:
                if now.version != self.request.version:
                    detail = "The series has changed since; its new version is a job of its own."
                    return Gone(reason="superseded", detail=detail)
            elif now.version != series.version:
                raise ChangedMeanwhile("Another mask of the same study has changed while this one was worked on")
        if source.key not in study:
            return Gone(reason="deleted", detail="The images were deleted while the mask was worked on.")
        return None

    def _undo(self, archive: Archive, row: Stored, gone: Gone, *, sent: bool, ours: bool) -> None:
        """Take back what was just stored, unless it is another job's as well: the same content came again.

        Parameters
        ----------
        sent
            It was not there before.
        ours
            It was announced by this job before, so it may have been there because of it. Else what was there is another
            service's, which has told people of it: a deletion that came afterwards does not undo that.
        """
        there = self.outputs.stored_at(row.orthanc_id)
        unsettled = there is None or (there.job_id == self.job and there.state is StoredState.ANNOUNCED)
        deleted = gone.reason == "deleted"
        if (unsettled and (sent or ours or not deleted)) or (deleted and sent):
            Retirer(self.outputs, self.settings.earlier).take_back(archive, row, there)
        elif unsettled:
            self.outputs.drop_stored(row)

    def _take_back(self, archive: Archive, row: Stored) -> None:
        Retirer(self.outputs, self.settings.earlier).take_back(archive, row, row)

    def _number(self, segmentation: Segmentation, before: Sequence[Stored], lost: Sequence[Forgotten]) -> int:
        """Number of a version: one more than the newest, unless it is the newest."""
        if self.settings.earlier == "replaced":
            return 1
        sop_instance_uid = segmentation.sop_instance_uid
        numbers = [
            (row.number, row.base_uid == sop_instance_uid and row.state is not StoredState.SUPERSEDED) for row in before
        ] + [(one.number, one.sop_instance_uid == versions.numbered_uid(sop_instance_uid, one.number)) for one in lost]
        if not numbers:
            return 1
        newest, same = max(numbers)
        return newest if same else newest + 1


def standing(archive: Archive, outputs: Outputs, series_key: ArchiveKey) -> tuple[EarlierOutput, ...]:
    """What was stored for a mask before, and is still there as the current one."""
    found = []
    for row in outputs.stored(series_key):
        if row.state is not StoredState.CURRENT:
            continue
        try:
            archive.find_series(row.series_instance_uid)
        except NotInArchive:
            continue
        try:
            archive.find_series(row.source_series_uid)
        except NotInArchive:
            found.append(reported(row, "standing, its source is deleted"))
        else:
            found.append(reported(row, "standing"))
    return tuple(found)
