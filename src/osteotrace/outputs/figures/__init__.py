"""Figures: the spine of every exam, each lesion in every exam, planar images, bone scans, the timeline."""

from osteotrace.outputs.figures.bone_scan import bone_scan_figure, bone_scan_figures
from osteotrace.outputs.figures.lesion import lesion_figure
from osteotrace.outputs.figures.picture import Picture
from osteotrace.outputs.figures.planar import planar_figures
from osteotrace.outputs.figures.settings import DisplaySettings, display_settings
from osteotrace.outputs.figures.spine import spine_figures
from osteotrace.outputs.figures.timeline import event_word, timeline_figure

__all__ = [
    "DisplaySettings",
    "Picture",
    "bone_scan_figure",
    "bone_scan_figures",
    "display_settings",
    "event_word",
    "lesion_figure",
    "planar_figures",
    "spine_figures",
    "timeline_figure",
]
