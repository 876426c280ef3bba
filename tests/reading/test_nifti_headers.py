"""Headers of NIfTI as they come and as they should not: the voxels, their places and sizes are those that nibabel has.

hypothesis draws codes, matrices that are empty or lead nowhere, units, slopes of 0 or NaN, types, dimensions and byte
orders. Where nibabel itself can make nothing of a statement, it is asked again without it.
"""

import gzip
import re
import warnings

import nibabel
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.affines import voxel_sizes
from nibabel.spatialimages import HeaderDataError

from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Upload
from brain_tumor.reading.volume_files import read_voxels
from brain_tumor.reading.volume_header import HEAD_SIZE, UNITS
from brain_tumor.reading.volumes import Block

NAN = float("nan")
CODES = st.sampled_from([0, 1, 2, 3, 4, 5])
DTYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16"]
HEADER = {1: 352, 2: 544}
UNIT_NAMES = {1: "meters", 2: "millimeters", 3: "micrometers"}


@st.composite
def rotations(draw) -> np.ndarray:
    """Axes in any order and direction, turned a little or much, as columns."""
    axes = np.eye(3)[:, draw(st.permutations(range(3)))] * draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    angle = draw(st.sampled_from([0.0, 0.1, 0.4, 0.7]))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return turn @ axes


SIZES = st.tuples(*[st.sampled_from([0.5, 1.0, 1.25, 2.0, 5.0])] * 3).map(np.array)


@st.composite
def matrices(draw) -> np.ndarray:
    """(3, 4) of an sform: one that is right, or one that no head can lie in."""
    matrix = np.c_[draw(rotations()) * draw(SIZES), [-90, 3, 11]]
    match draw(st.sampled_from(["right"] * 5 + ["empty", "NaN", "infinite", "flat", "twice", "no column", "no place"])):
        case "empty":
            matrix[:] = 0
        case "NaN":
            matrix[1, 1] = NAN
        case "infinite":
            matrix[0, 2] = np.inf
        case "flat":
            matrix[2, :3] = 0
        case "twice":
            matrix[:, 1] = matrix[:, 0]
        case "no column":
            matrix[:, 2] = 0
        case "no place":  # which is of no matter
            matrix[:, 3] = NAN
    return matrix


@st.composite
def headers(draw) -> dict:
    """Fields of a header, and how the file is written."""
    spatial = draw(st.tuples(*[st.integers(33, 37)] * 2, st.integers(10, 13)))
    more = draw(st.sampled_from([(), (), (1,), (2,), (1, 3), (2, 2)]))
    shape = draw(st.sampled_from([(*spatial, *more)] * 4 + [spatial[:2], (*spatial[:2], 1), (1, *spatial[:2])]))
    quaternion = nibabel.quaternions.mat2quat(draw(rotations().filter(lambda r: np.linalg.det(r) > 0)))[1:]
    if draw(st.sampled_from([False] * 6 + [True])):
        quaternion = np.array([0.9, 0.9, draw(st.sampled_from([0.0, NAN]))])
    pixdim = draw(SIZES)
    pixdim[draw(st.integers(0, 2))] *= draw(st.sampled_from([1] * 8 + [0, -1, NAN]))
    scale = draw(st.sampled_from([1.0, 1.0, 1e-3, 1e3]))  # sizes in meters, micrometers
    return {
        "version": draw(st.sampled_from([1, 2])),
        "order": draw(st.sampled_from("<>")),
        "dtype": draw(st.sampled_from(DTYPES)),
        "shape": shape,
        "packed": draw(st.booleans()),
        "fields": {
            "sform_code": draw(CODES),
            "qform_code": draw(CODES),
            "srow": draw(matrices()) * scale,
            "quatern": quaternion,
            "pixdim": np.r_[draw(st.sampled_from([1, 1, -1, 0, NAN])), pixdim * scale, [1] * 4],
            "xyzt_units": draw(st.sampled_from([0, 1, 2, 3, 10, 5, 255])),
            "scl_slope": draw(st.sampled_from([1.0, 1.0, 0.0, 0.5, 1e-3, 250.0, -2.0, NAN, np.inf])),
            "scl_inter": draw(st.sampled_from([0.0, 0.0, -100.0, 1e4, NAN, np.inf])),
            "vox_offset": draw(st.sampled_from([0, 544, 544, 560, 1000])),
        },
    }


def write(case: dict) -> bytes:
    """A file with this header; each voxel differs from its neighbors, and the head's ends from one another."""
    kind = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}[case["version"]]
    header, fields = kind(endianness=case["order"]), dict(case["fields"])
    header.set_data_dtype(np.dtype(case["dtype"]))
    header.set_data_shape(case["shape"])
    matrix, quaternion = fields.pop("srow"), fields.pop("quatern")
    fields |= {f"srow_{axis}": row for axis, row in zip("xyz", matrix, strict=True)}
    fields |= {f"quatern_{axis}": value for axis, value in zip("bcd", quaternion, strict=True)}
    for name, value in fields.items():
        header.structarr[name] = value
    header.structarr["magic"] = b"n+1" if case["version"] == 1 else b"n+2"
    grid = np.indices(case["shape"])
    values = sum((axis**1.5 * step).astype(int) for axis, step in zip(grid, (1, 2, 3, 40, 60), strict=False)) % 127
    stored = values.astype(np.dtype(case["dtype"]).newbyteorder(case["order"])).tobytes(order="F")
    offset = max(HEADER[case["version"]], int(case["fields"]["vox_offset"]))
    data = (header.structarr.tobytes() + bytes(4)).ljust(offset, b"\0") + stored
    return gzip.compress(data, 1, mtime=0) if case["packed"] else data


def as_nibabel_reads(case: dict) -> tuple[np.ndarray, np.ndarray, bool]:
    """The first volume, its affine in the file's unit, and whether the file says how the head lies."""
    ways = [{}, {"sform_code": 0}, {"sform_code": 0, "qform_code": 0}]
    ways.append(ways[-1] | {"pixdim": np.nan_to_num(case["fields"]["pixdim"], nan=1)})
    for way in ways:
        inter, offset = case["fields"]["scl_inter"], case["fields"]["vox_offset"]
        # Of an offset of 0 nibabel takes the header for voxels; nifti1_io.c knows better.
        usable = {"scl_inter": inter if np.isfinite(inter) else 0.0, "vox_offset": offset or HEADER[case["version"]]}
        fields = case["fields"] | way | usable
        data = write(case | {"fields": fields, "packed": False})
        try:
            image = {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}[case["version"]].from_bytes(data)
        except (HeaderDataError, ValueError):
            continue
        axes = image.affine[:3, :3]
        if np.isfinite(axes).all() and np.linalg.cond(axes) < 1e6:
            affine = image.affine.copy()
            affine[:3, 3] = np.nan_to_num(affine[:3, 3])
            stated = image.header["sform_code"] > 0 or image.header["qform_code"] > 0
            values = np.asanyarray(image.dataobj)
            return np.atleast_3d(values)[(..., *[0] * (values.ndim - 3))], affine, bool(stated)
    raise AssertionError("nibabel itself reads none of these")


@settings(max_examples=600, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(headers())
def test_voxels_places_and_sizes_are_those_that_nibabel_has(tmp_path_factory, case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of nibabel, about NaN
        expected, affine, stated = as_nibabel_reads(case)
        canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(np.abs(expected).astype(float), affine)
                                                 if np.iscomplexobj(expected)
                                                 else nibabel.Nifti1Image(expected.astype(float), affine))  # fmt: skip
    header, values = read_voxels(write(case))
    block = Block(values, header.affine)
    if not np.iscomplexobj(expected):
        np.testing.assert_allclose(block.values, canonical.get_fdata(), rtol=1e-6, atol=1e-6)
    sizes = voxel_sizes(canonical.affine)
    # The stated unit, unless a head cannot be of that size and in another unit can.
    unit = UNIT_NAMES.get(case["fields"]["xyzt_units"] & 7, "millimeters")
    units = [unit, *[name for name in UNITS if name != unit]]
    longest = max(sizes * canonical.shape)
    fitting = [name for name in units if HEAD_SIZE[0] <= longest * UNITS[name] <= HEAD_SIZE[1]]
    np.testing.assert_allclose(block.spacing, sizes * UNITS[(fitting or units)[0]], rtol=1e-5)
    assert header.sides_known == stated
    assert any("guessed and unmarked" in note for note in header.notes) == (not stated)

    path = tmp_path_factory.getbasetemp() / "scan"
    path.write_bytes(write(case))
    (upload,) = read_uploads([path])
    if not isinstance(upload, Upload):
        assert "pixels" in upload.reason, upload.reason  # a slice of 12 pixels
        return
    assert upload.sides_known == (stated and upload.plane != "sagittal")
    axis = ("sagittal", "coronal", "axial").index(upload.plane)
    low, high = (float(n.replace(",", "")) for n in re.match(r"(\S+) to (\S+)", upload.facts["Window"]).groups())
    first, data = upload.slices[0], np.moveaxis(canonical.get_fdata(), axis, 0)[0][::-1, ::-1].T
    if not np.iscomplexobj(expected) and first.image.size == data.shape[::-1] and high - low > 0.01 * abs(low):
        grays = ((data - low) / (high - low) * 255).clip(0, 255)
        assert np.abs(np.asarray(first.image)[..., 0] - grays).max() < 8  # the window's words have four digits
