"""Geometry: grids, masks, transforms, resampling, the NIfTI border. Patient space is LPS, mm."""

from osteotrace.space.bias import BiasSettings, bias_field
from osteotrace.space.grid import FloatArray, Grid, frozen_array, require_same_frame
from osteotrace.space.itk import map_by_itk_file, write_itk_field, write_itk_rigid
from osteotrace.space.labels import LabelImage
from osteotrace.space.mask import Mask, bounding_box
from osteotrace.space.nifti import NiftiImage, read_nifti, write_nifti
from osteotrace.space.polyrigid import Polyrigid, motion_of, twist_of
from osteotrace.space.resample import (
    box_around,
    covered_fraction,
    crop_values,
    limit_threads,
    map_mask,
    occupancy,
    resample,
    threads,
)
from osteotrace.space.transform import RigidTransform, index_map

__all__ = [
    "BiasSettings",
    "FloatArray",
    "Grid",
    "LabelImage",
    "Mask",
    "NiftiImage",
    "Polyrigid",
    "RigidTransform",
    "bias_field",
    "bounding_box",
    "box_around",
    "covered_fraction",
    "crop_values",
    "frozen_array",
    "index_map",
    "limit_threads",
    "map_by_itk_file",
    "map_mask",
    "motion_of",
    "occupancy",
    "read_nifti",
    "require_same_frame",
    "resample",
    "threads",
    "twist_of",
    "write_itk_field",
    "write_itk_rigid",
    "write_nifti",
]
