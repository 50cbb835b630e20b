"""Frames: the single pictures of classic and enhanced (multi-frame) images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from osteotrace.errors import GeometryError
from osteotrace.intake import header as hd
from osteotrace.intake import storage
from osteotrace.intake.instance import Instance

Numbers = tuple[float, ...]

# What may tell apart frames that lie at the same place, in order of trust.
REPEAT_KEYS = (
    "temporal position",
    "cardiac phase",
    "gradient direction",
    "reconstruction kernel",
    "tube voltage",
    "acquisition number",
    "frame reference time",
    "acquisition time",
    "content time",
)
# b-values by vendor where the standard attribute is absent: group, private creator, element in the block.
_PRIVATE_B = {
    "siemens": (0x0019, "SIEMENS MR HEADER", 0x0C),
    "ge": (0x0043, "GEMS_PARM_01", 0x39),
    "philips": (0x2001, "Philips Imaging DD 001", 0x03),
}
_GE_B_OFFSET = 1_000_000_000  # GE adds this to b-values that come with a direction
_ECHO_DECIMALS = 2  # ms; scanners write 4.599999 and 4.6 for the same echo


@dataclass(frozen=True, slots=True)
class Plane:
    """Where a frame lies (PS3.3 C.7.6.2): LPS, mm.

    Attributes
    ----------
    position : tuple of 3 floats
        Centre of the first pixel.
    orientation : tuple of 6 floats
        Direction of a row, then of a column.
    spacing : tuple of 2 floats
        Between rows, then between columns, as Pixel Spacing (0028,0030) has them.
    """

    position: Numbers
    orientation: Numbers
    spacing: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of an image file.

    Attributes
    ----------
    header : Dataset
        Its header; for an enhanced image the functional groups of this frame are written flat into it.
    number : int
        Index in the file, from 0.
    plane : Plane or None
        None when the header does not place it.
    key : tuple
        What always separates images of one series: frame of reference, matrix, image type, echo, b-value,
        stack.
    repeats : tuple
        Values of ``REPEAT_KEYS``.
    padding : float or None
        Pixel Padding Value (0028,0120), a stored value.
    """

    instance: Instance
    header: Dataset
    number: int
    plane: Plane | None
    slope: float
    intercept: float
    key: tuple[object, ...]
    repeats: tuple[object, ...]
    padding: float | None = None


def frames_of(instance: Instance) -> tuple[Frame, ...]:
    """All frames of an image file; of a dose, whose frames its vector places, the first.

    Raises
    ------
    GeometryError
        When the file has several frames and does not describe each of them.
    """
    count = instance.format.number_of_frames
    is_described = "PerFrameFunctionalGroupsSequence" in instance.header
    if not is_described and (count == 1 or instance.sop_class_uid == storage.DOSE):
        return (frame_of(instance, instance.header, 0),)
    groups = hd.items(instance.header, "PerFrameFunctionalGroupsSequence")
    if len(groups) != count:
        raise GeometryError(
            f"{count} frames, but {len(groups)} of them are described",
            where=instance.path.name,
            expected="one item of Per-Frame Functional Groups Sequence for every frame",
            remedy="export the file again",
        )
    return tuple(frame_of(instance, flat, n) for n, flat in enumerate(_flat_headers(instance.header, groups)))


def frame_of(instance: Instance, header: Dataset, number: int) -> Frame:
    """Frame of a flat header."""
    slope = hd.number(header, "RescaleSlope")
    return Frame(
        instance,
        header,
        number,
        _plane(header),
        1.0 if slope is None else slope,
        hd.number(header, "RescaleIntercept") or 0.0,
        _key(instance, header),
        _repeats(header),
        hd.number(header, "PixelPaddingValue"),
    )


def _plane(header: Dataset) -> Plane | None:
    position = hd.numbers(header, "ImagePositionPatient")
    orientation = hd.numbers(header, "ImageOrientationPatient")
    spacing = hd.numbers(header, "PixelSpacing")
    if (len(position), len(orientation), len(spacing)) != (3, 6, 2):
        return None
    return Plane(position, orientation, spacing)


def image_type(header: Dataset) -> tuple[str, ...]:
    """Frame Type (0008,9007) of an enhanced frame, else Image Type (0008,0008); upper case."""
    return tuple(w.upper() for w in hd.words(header, "FrameType") or hd.words(header, "ImageType"))


def echo_time(header: Dataset) -> float | None:
    """Effective Echo Time (0018,9082) or Echo Time (0018,0081), ms."""
    effective = hd.number(header, "EffectiveEchoTime")
    return hd.number(header, "EchoTime") if effective is None else effective


def _key(instance: Instance, header: Dataset) -> tuple[object, ...]:
    common = (
        hd.text(header, "FrameOfReferenceUID"),
        instance.sop_class_uid,
        instance.format.rows,
        instance.format.columns,
        image_type(header)[2:],
    )
    if instance.modality != "MR":
        return common
    echo = echo_time(header)
    return (
        *common,
        hd.text(header, "EchoNumbers"),
        None if echo is None else round(echo, _ECHO_DECIMALS),
        b_value(header),
        hd.text(header, "StackID"),
    )


def b_value(header: Dataset) -> float | None:
    """b-value, s/mm²: Diffusion b-value (0018,9087), else the vendor's private element."""
    declared = hd.number(header, "DiffusionBValue")
    if declared is not None:
        return declared
    maker = hd.text(header, "Manufacturer").lower()
    for vendor, (group, creator, element) in _PRIVATE_B.items():
        if vendor in maker:
            value = _private_number(header, group, creator, element)
            return value if value is None else value % _GE_B_OFFSET
    return None


def _private_number(header: Dataset, group: int, creator: str, element: int) -> float | None:
    try:
        value = header.private_block(group, creator)[element].value
        first = value[0] if not isinstance(value, str | bytes) and hasattr(value, "__getitem__") else value
        text = first.decode("ascii") if isinstance(first, bytes) else str(first)
        return float(text.split("\\")[0])
    except Exception:  # absent, or pydicom cannot convert it
        return None


def _repeats(header: Dataset) -> tuple[object, ...]:
    return (
        hd.text(header, "TemporalPositionIdentifier") or hd.text(header, "TemporalPositionIndex"),
        hd.text(header, "TriggerTime") or hd.text(header, "NominalCardiacTriggerDelayTime"),
        hd.numbers(header, "DiffusionGradientOrientation"),
        hd.text(header, "ConvolutionKernel"),
        hd.text(header, "KVP"),
        hd.text(header, "AcquisitionNumber"),
        hd.text(header, "FrameReferenceTime"),
        hd.text(header, "FrameAcquisitionDateTime")
        or hd.text(header, "AcquisitionDate") + hd.text(header, "AcquisitionTime")
        or hd.text(header, "AcquisitionDateTime"),
        hd.text(header, "ContentTime"),
    )


def _flat_headers(header: Dataset, per_frame: Sequence[Dataset]) -> tuple[Dataset, ...]:
    """One dataset a frame with the macros of its functional groups at the top (PS3.3 C.7.6.16)."""
    shared = hd.first_item(header, "SharedFunctionalGroupsSequence")
    base = Dataset()
    base.update({e.tag: e for e in hd.elements(header) if not _is_functional_group(e.tag)})
    _pour(base, shared)
    return tuple(_flat(base, groups) for groups in per_frame)


def _flat(base: Dataset, groups: Dataset) -> Dataset:
    flat = Dataset()
    flat.update(base)
    _pour(flat, groups)
    return flat


def _pour(target: Dataset, groups: Dataset) -> None:
    """Write the elements of the first item of every macro into ``target``; nested macros too."""
    for keyword, item in hd.macros(groups):
        target.update({e.tag: e for e in hd.elements(item)})
        if keyword == "MRDiffusionSequence":
            _pour(target, item)


def _is_functional_group(tag: int) -> bool:
    return tag in (0x52009229, 0x52009230)
