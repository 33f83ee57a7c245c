"""Turn mask series in an Orthanc PACS into standard DICOM Segmentations.

`convert` and `explain` do this in Python, without a PACS. They are fetched when they are first asked for, so that the
name and the version of this package cost nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthanc_mask2seg.api import Conversion, convert, explain

__version__ = "0.1.0"
__all__ = ["Conversion", "__version__", "convert", "explain"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(f"{__name__}.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
