"""When is a series ready to be looked at: the settle timer. Pure: the monotonic time is handed in."""

from __future__ import annotations

from dataclasses import dataclass

from orthanc_mask2seg.model import ArchiveKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A version of a series that has been quiet for long enough.

    Attributes
    ----------
    rested
        Quiet for so long that nothing more is expected.
    """

    key: ArchiveKey
    version: str
    rested: bool


@dataclass(slots=True)
class _Watched:
    version: str
    since: float
    last: float
    complete: bool

    @property
    def quiet(self) -> float:
        return max(self.last - self.since, 0.0)


class Settle:
    """Series under observation.

    A complete series is due once its version has been *seen* unchanged over `settle_seconds`, any other once it has
    been seen unchanged over `rest_seconds`. Time in which nobody looked proves nothing, so it does not count; nor does
    that in which an answer was under way, as the archive may have looked at its beginning.
    """

    def __init__(self, settle_seconds: float, rest_seconds: float) -> None:
        self._settle = settle_seconds
        self._rest = max(rest_seconds, settle_seconds)
        self._watched: dict[ArchiveKey, _Watched] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def __contains__(self, key: ArchiveKey) -> bool:
        return key in self._watched

    def observe(
        self, key: ArchiveKey, version: str, now: float, *, asked: float | None = None, complete: bool = False
    ) -> float:
        """Note what a series looked like, and return for how long it has looked so at the least (s).

        Parameters
        ----------
        now
            When the archive had answered.
        asked
            When it was asked; `now` if not given.
        """
        asked = now if asked is None else asked
        watched = self._watched.get(key)
        if watched is None or watched.version != version or asked < watched.last:
            self._watched[key] = watched = _Watched(version, now, asked, complete)
        watched.last, watched.complete = asked, complete
        return watched.quiet

    def quiet(self, key: ArchiveKey, version: str) -> float:
        """For how long a series has been seen to look like this (s)."""
        watched = self._watched.get(key)
        return watched.quiet if watched is not None and watched.version == version else 0.0

    def settled(self, quiet_seconds: float) -> bool:
        """Whether a series that has been quiet for so long is worth a closer look."""
        return quiet_seconds >= self._settle

    def ripe(self, key: ArchiveKey) -> Due | None:
        """The series, if it is ready; it stays so until it is forgotten or seen changed."""
        watched = self._watched.get(key)
        if watched is None:
            return None
        quiet = watched.quiet
        if quiet < (self._settle if watched.complete else self._rest):
            return None
        return Due(key=key, version=watched.version, rested=quiet >= self._rest)

    def due(self) -> tuple[Due, ...]:
        """All series that are ready."""
        return tuple(due for key in self._watched if (due := self.ripe(key)) is not None)

    def forget(self, key: ArchiveKey) -> None:
        """Stop observing a series."""
        self._watched.pop(key, None)
