"""Slices are neighbors only where they lie side by side, and what belongs together is told by what the files hold."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from brain_tumor.data.dicom import open_slice
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Rejected, Upload
from tests.reading.scans import dicom_series, gray, marked_volume, write_all
from tests.scan_files import dicom, zip_files

VOLUME = marked_volume()[:, :, :20]


def read_all(folder, files):
    for path in folder.iterdir():
        path.unlink()
    return list(read_uploads(write_all(folder, files)))


def assert_same_slices(one: Upload, other: Upload) -> None:
    assert [s.name for s in one.slices] == [s.name for s in other.slices]
    assert [s.counts for s in one.slices] == [s.counts for s in other.slices]
    for left, right in zip(one.slices, other.slices, strict=True):
        assert (gray(left) == gray(right)).all()


@pytest.mark.parametrize("times", [2, 7])
@pytest.mark.parametrize(
    "tags",
    [
        lambda time: {"TemporalPositionIdentifier": time + 1},
        lambda time: {"AcquisitionNumber": time + 1},
        lambda time: {"TriggerTime": 31.5 * time},
        lambda time: {"PatientComments": str(time)},  # other bytes, and nothing else
    ],
    ids=["time points", "acquisitions", "triggers", "copies"],
)
def test_of_slices_that_share_a_place_the_first_is_taken_as_if_the_others_were_not_there(tags, times, tmp_path):
    many = [f for time in range(times) for f in dicom_series(VOLUME, SeriesInstanceUID="1.2.3", **tags(time))]
    (one,) = read_all(tmp_path, dicom_series(VOLUME))
    (upload,) = read_all(tmp_path, many)
    assert_same_slices(upload, one)
    assert upload.kind == "volume" and upload.name == "DICOM series, 20 slices"
    assert any(f"same 20 places were scanned up to {times} times" in note for note in upload.notes)
    assert not one.notes


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (lambda way: {"EchoTime": 15 + 80 * way}, "2 echo times"),
        (lambda way: {"InversionTime": 400 + 800 * way}, "2 inversion times"),
        (lambda way: {"RepetitionTime": 500 + 3000 * way}, "2 repetition times"),
        (lambda way: {"FlipAngle": 4 + 14 * way}, "2 flip angles"),
        (lambda way: {"DiffusionBValue": 1000.0 * way}, "2 b values"),
        (lambda way: {"ImageType": ["ORIGINAL", "PRIMARY", "MP"[way]]}, "2 types of picture"),
        (lambda way: {"ContrastBolusAgent": ["NONE", "Gadovist"][way]}, "2 states of contrast agent"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pictures_of_a_place_with_other_settings_are_scans_of_their_own(tags, words, tmp_path):
    files = [
        file
        for way, volume in enumerate((VOLUME, VOLUME[::-1] // 2))
        for file in dicom_series(
            volume, SeriesInstanceUID="1.2.3", **tags(way), **{"WindowCenter": 500, "WindowWidth": 1000}
        )
    ]
    uploads = read_all(tmp_path, files)
    assert len(uploads) == 2 and all(words in upload.notes[0] for upload in uploads)
    for upload, volume in zip(uploads, (VOLUME, VOLUME[::-1] // 2), strict=True):
        assert upload.kind == "volume" and len(upload.slices) == 20
        assert np.abs(gray(upload.slices[10]) - (volume[::-1, ::-1, 10].T / 1000 * 255).clip(0, 255)).max() <= 1
    assert len({upload.name for upload in uploads}) == 2


@pytest.mark.parametrize("tag", ["TemporalPositionIdentifier", "AcquisitionNumber", "TriggerTime", "a trigger each"])
@pytest.mark.parametrize("aside", [0.11, 0.3, 0.45])
def test_time_points_that_lie_a_little_aside_are_no_neighbors(tag, aside, tmp_path):
    def build(time, shift):
        tags = {"SeriesInstanceUID": "1.2.3", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [2, 2]}
        for index in range(20):
            moment = {tag: time + 1} if " " not in tag else {"TriggerTime": 1000 * time + 31.5 * index}
            if " " in tag and time > 0 and index % 5:  # else nothing tells how far apart slices are
                continue
            place = [0, 0, 5 * index + shift]
            pixels = (VOLUME[:, :, index] + 50 * time).astype(np.uint16)
            yield dicom(pixels, ImagePositionPatient=place, **tags, **moment)

    (one,) = read_all(tmp_path, list(build(0, 0)))
    (upload,) = read_all(tmp_path, [file for time in range(3) for file in build(time, aside * time)])
    assert_same_slices(upload, one)
    assert upload.kind == "volume" and "up to 3 times" in upload.notes[0]


def place_between(one, other):
    """Slices of 5 mm distance, and those of another kind between them."""
    tags = {"SeriesInstanceUID": "1.2.3", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    return [
        dicom(
            (VOLUME[:, :, 2 * index + way] + way).astype(np.uint16),
            **tags | {"ImagePositionPatient": [0, 0, 5 * index + 2.5 * way], "PixelSpacing": [2, 2]} | kind,
        )
        for way, kind in enumerate((one, other))
        for index in range(10)
    ]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"EchoTime": 10}, {"EchoTime": 90}, "2 echo times"),
        ({"ContrastBolusAgent": "NONE"}, {"ContrastBolusAgent": "Gadovist"}, "2 states of contrast agent"),
        ({"PixelSpacing": [1, 1]}, {"PixelSpacing": [1.2, 1.2]}, "2 pixel spacings"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_slices_of_other_settings_between_those_of_one_are_scans_of_their_own(one, other, words, tmp_path):
    uploads = read_all(tmp_path, place_between(one, other))
    assert [(upload.kind, len(upload.slices)) for upload in uploads] == [("volume", 10)] * 2
    assert all(
        upload.notes == [f"Slices of {words} lie between each other: each is a scan of its own."] for upload in uploads
    )


@pytest.mark.parametrize("tag", ["AcquisitionNumber", "TriggerTime", "InstanceNumber", "EchoTime"])
def test_slices_taken_in_two_passes_are_one_scan(tag, tmp_path):
    (upload,) = read_all(tmp_path, place_between({tag: 20}, {tag: 22}))
    assert upload.kind == "volume" and len(upload.slices) == 20 and not upload.notes


def test_settings_that_hardly_differ_are_the_same(tmp_path):
    files = [
        file
        for time in range(3)
        for file in dicom_series(
            VOLUME, SeriesInstanceUID="1.2.3", EchoTime=90 + 1e-4 * time, DiffusionBValue=1000.0 + time
        )
    ]
    (upload,) = read_all(tmp_path, files)
    assert len(upload.slices) == 20 and "up to 3 times" in upload.notes[0]


def test_a_setting_that_changes_from_slice_to_slice_makes_no_stacks(tmp_path):
    files = []
    for index, file in enumerate(dicom_series(VOLUME)):
        dataset = pydicom.dcmread(write_all(tmp_path, {"x": file})[0])
        dataset.RepetitionTime, dataset.EchoTime = 800 + 13 * index, 20 + index % 2
        dataset.save_as(tmp_path / "x")
        files.append((tmp_path / "x").read_bytes())
    (upload,) = read_all(tmp_path, files)
    assert upload.kind == "volume" and len(upload.slices) == 20 and not upload.notes


def test_of_very_many_settings_the_first_is_taken(tmp_path):
    files = [f for way in range(10) for f in dicom_series(VOLUME, SeriesInstanceUID="1.2.3", EchoTime=10 + 10 * way)]
    (upload,) = read_all(tmp_path, files)
    assert len(upload.slices) == 20 and "up to 10 times" in upload.notes[0] and "TE 10 ms" in upload.facts["Sequence"]


def test_a_place_that_the_first_time_point_lacks_is_taken_from_the_next(tmp_path):
    one, two = (dicom_series(VOLUME, SeriesInstanceUID="1.2.3", AcquisitionNumber=n) for n in (1, 2))
    (upload,) = read_all(tmp_path, one[:7] + one[8:] + two)
    (whole,) = read_all(tmp_path, one)
    assert_same_slices(upload, whole)


def test_frames_of_a_file_that_share_a_place_are_no_neighbors(tmp_path):
    frames, pixels = [], []
    for time in range(3):
        for echo in (20.0, 90.0):
            for index in range(12):
                frame, place, direction, measures, content, echoes = (Dataset() for _ in range(6))
                place.ImagePositionPatient, measures.PixelSpacing = [0, 0, 4 * index], [2, 2]
                direction.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
                content.TemporalPositionIndex, echoes.EffectiveEchoTime = time + 1, echo
                frame.PlanePositionSequence, frame.PlaneOrientationSequence = Sequence([place]), Sequence([direction])
                frame.FrameContentSequence, frame.MREchoSequence = Sequence([content]), Sequence([echoes])
                frame.PixelMeasuresSequence = Sequence([measures])
                frames.append(frame)
                pixels.append(np.full((40, 40), 10 * index + time + 100 * (echo > 50)))
                pixels[-1][5:9, 5:9] = 255
    data = dicom(np.array(pixels, np.uint8), PerFrameFunctionalGroupsSequence=Sequence(frames))
    one, two = read_uploads(write_all(tmp_path, {"scan": data}))
    assert [int(gray(s)[0, 0]) for s in one.slices] == [10 * index for index in range(12)]
    assert [int(gray(s)[0, 0]) for s in two.slices] == [10 * index + 100 for index in range(12)]
    assert (one.name, two.name) == ("scan, part 1", "scan, part 2") and "TE 90 ms" in two.facts["Sequence"]


@pytest.mark.parametrize("told", ["the file", "the shared groups", "some of the frames", "empty groups"])
def test_one_position_for_a_file_of_many_frames_makes_no_copies_of_them(told, tmp_path):
    place, empty, groups = Dataset(), Dataset(), {}
    place.ImagePositionPatient = [5, 6, 7]
    shared, frames = Dataset(), [Dataset() for _ in range(6)]
    if told == "the shared groups":
        shared.PlanePositionSequence = Sequence([place])
    for index, frame in enumerate(frames):
        if told == "some of the frames" and index < 4 or told == "empty groups":
            frame.PlanePositionSequence = Sequence([place] if index < 4 else [])
        frame.FrameContentSequence = Sequence([empty])
    if told != "the file":
        groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": frames}
    tags = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [5, 6, 7], "PixelSpacing": [2, 2]}
    pixels = np.array([np.full((40, 40), 10 * index, np.uint8) for index in range(6)])
    pixels[:, 5:9, 5:9] = 255
    data = dicom(pixels, **tags, **{tag: Sequence(items) for tag, items in groups.items()})
    (upload,) = read_all(tmp_path, {"scan": data})
    assert upload.kind == "pages" and [int(gray(s)[0, 0]) for s in upload.slices] == [10 * i for i in range(6)]
    assert upload.notes == ["A file of 6 frames: each frame is a scan of its own."]
    with pytest.raises(ScanError, match="holds several slices"):
        open_slice(tmp_path / "scan")


def test_a_mosaic_is_refused_with_a_sentence_once_for_its_series(tmp_path):
    tiles = np.tile(VOLUME[:, :, 10], (4, 4)).astype(np.uint16)
    tags = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], "SeriesInstanceUID": "1.2.3"}
    tags |= {"ImagePositionPatient": [1, 2, 3], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    files = [dicom(tiles, AcquisitionNumber=n, InstanceNumber=n, **tags) for n in range(1, 6)]
    (rejected,) = read_all(tmp_path, files)
    assert isinstance(rejected, Rejected) and "is a mosaic" in rejected.reason and "5 slices" in rejected.name


@pytest.mark.parametrize("value", [0.995, 0.9949999, 0.7071068])
def test_directions_that_differ_in_the_seventh_digit_are_one(value, tmp_path):
    other = np.sqrt(1 - value**2)
    files = []
    for index in range(20):
        cosine = value + 1e-7 * (-1) ** index
        files.append(
            dicom(
                VOLUME[:, :, index].astype(np.uint16), SeriesInstanceUID="1.2.3", InstanceNumber=index,
                ImageOrientationPatient=[f"{cosine:.10f}", f"{other:.10f}", 0, f"{-other:.10f}", f"{cosine:.10f}", 0],
                ImagePositionPatient=[0, 0, 3 * index], PixelSpacing=[2, 2],
            )
        )  # fmt: skip
    (upload,) = read_all(tmp_path, files)
    assert upload.kind == "volume" and len(upload.slices) == 20


def test_two_series_under_one_identifier_are_two_by_their_numbers(tmp_path):
    files = [f for n in (3, 4) for f in dicom_series(VOLUME, SeriesInstanceUID="1.2.3", SeriesNumber=n)]
    uploads = read_all(tmp_path, files)
    assert [len(upload.slices) for upload in uploads] == [20, 20] and not any(upload.notes for upload in uploads)


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "FrameOfReferenceUID", "Modality", "zip"])
def test_scans_of_two_patients_under_one_identifier_are_two(tag, tmp_path):
    scans = []
    for way, value in enumerate(["1.2", "1.3"] if tag != "Modality" else ["MR", "CT"]):
        tags = {tag: value} if tag != "zip" else {}
        scans.append(dicom_series(VOLUME + np.int16(5 * way), SeriesInstanceUID="1.2.3", **tags))
    if tag == "zip":
        zips = [zip_files({f"{index}": file for index, file in enumerate(files)}) for files in scans]
        found = list(read_uploads(write_all(tmp_path, {f"{way}.zip": data for way, data in enumerate(zips)})))
    else:
        found = read_all(tmp_path, [*scans[0], *scans[1]])
    assert [(upload.kind, len(upload.slices), upload.notes) for upload in found] == [("volume", 20, [])] * 2


def test_which_of_several_pictures_of_a_place_is_read_does_not_depend_on_the_order_of_the_files(tmp_path):
    scans = [dicom_series(VOLUME + np.int16(90 * way) * (VOLUME > 0), SeriesInstanceUID="1.2.3") for way in range(2)]
    (one,), (other,) = (
        list(read_uploads(write_all(tmp_path, {f"{index:02}": file for index, file in enumerate(files)})))
        for files in ([*scans[0], *scans[1]], [*scans[1], *scans[0]])
    )
    assert_same_slices(one, other)


def test_one_identifier_for_all_slices_makes_no_copies_of_them_but_equal_bytes_do(tmp_path):
    files = dicom_series(VOLUME, SOPInstanceUID=generate_uid())
    (upload,) = read_all(tmp_path, files)
    assert upload.kind == "volume" and len(upload.slices) == 20 and not upload.notes
    (upload,) = read_all(tmp_path, [*files, files[3], files[3], files[8]])
    assert len(upload.slices) == 20 and upload.notes == ["3 of the files are duplicates and are left out."]


@pytest.mark.parametrize("how", ["each its own", "none"])
def test_slices_without_a_common_series_are_one_if_they_lie_evenly_on_a_line(how, tmp_path):
    def with_series(files):
        for number, file in enumerate(files):
            dataset = pydicom.dcmread(write_all(tmp_path, {"x": file})[0])
            dataset.SeriesInstanceUID = f"1.2.3.{number}"
            if how == "none":
                del dataset.SeriesInstanceUID
            dataset.save_as(tmp_path / "x")
            yield (tmp_path / "x").read_bytes()

    files = list(with_series(dicom_series(VOLUME)))
    (upload,) = read_all(tmp_path, files)
    assert upload.kind == "volume" and len(upload.slices) == 20
    uneven = [files[i] for i in (0, 1, 3, 7, 12, 18)]  # slices of six patients, perhaps
    assert len(read_all(tmp_path, uneven)) == 6
    assert len(read_all(tmp_path, files[:4])) == 4


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "SliceLocation", "InstanceNumber"])
def test_slices_are_sorted_by_the_best_that_is_known_of_their_places(tag, tmp_path):
    known = ["ImagePositionPatient", "SliceLocation", "InstanceNumber"]
    known = known[known.index(tag) :]
    files = []
    for index in np.random.default_rng(3).permutation(20):
        wrong = int(index * 7 % 20)  # what is less good says something else
        tags = dict.fromkeys(("SliceLocation", "InstanceNumber"), wrong + 1)
        tags[tag] = [0, 0, 3 * index] if tag == "ImagePositionPatient" else int(index) + 1
        tags = {name: value for name, value in tags.items() if name in known}
        pixels = np.full((40, 40), 10 * index, np.uint8)
        files.append(dicom(pixels, SeriesInstanceUID="1.2.3", **tags))
    for orientation in ([1, 0, 0, 0, 1, 0], None):
        some = files
        if orientation:
            some = []
            for file in files:
                dataset = pydicom.dcmread(write_all(tmp_path, {"x": file})[0])
                dataset.ImageOrientationPatient = orientation
                dataset.save_as(tmp_path / "x")
                some.append((tmp_path / "x").read_bytes())
        (upload,) = read_all(tmp_path, some)
        shades = [int(gray(slice_)[0, 0]) for slice_ in upload.slices]
        assert shades in ([10 * i for i in range(20)], [10 * i for i in range(20)][::-1])


def test_positions_that_were_all_set_to_zero_are_none(tmp_path):
    files = [
        dicom(
            np.full((40, 40), 10 * i, np.uint8), SeriesInstanceUID="1.2.3", InstanceNumber=i + 1,
            ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], SliceLocation=0,
        )
        for i in range(20)
    ]  # fmt: skip
    (upload,) = read_all(tmp_path, files)
    assert [int(gray(s)[0, 0]) for s in upload.slices] == [10 * i for i in range(20)]


def test_a_series_that_comes_several_times_without_places_is_told_by_its_pixels(tmp_path):
    pictures = [(VOLUME[:, :, i] // 4).astype(np.uint8) + np.uint8(i) for i in range(4, 16)]
    tags = {"SeriesInstanceUID": "1.2.3"}
    files = [dicom(p, InstanceNumber=i + 12 * n, **tags) for n in range(3) for i, p in enumerate(pictures)]
    (upload,) = read_all(tmp_path, files)
    assert len(upload.slices) == 12 and upload.notes == ["24 of the pictures are copies of others and are left out."]
    (upload,) = read_all(tmp_path, files[:13])  # some slices of a head may well be equal
    assert len(upload.slices) == 13 and not upload.notes


@pytest.mark.parametrize("numbered", [True, False])
def test_copies_of_some_slices_without_places_are_left_out_as_if_they_were_not_there(numbered, tmp_path):
    def build(index, copy=0):
        tags = {"InstanceNumber": index + 1} if numbered else {}
        picture = (VOLUME[:, :, index] // 4).astype(np.uint8) + np.uint8(index)
        return dicom(picture, SeriesInstanceUID="1.2.3", PatientComments=str(copy), **tags)

    files = [build(index) for index in range(4, 16)]
    (one,) = read_all(tmp_path, files)
    (upload,) = read_all(tmp_path, [*files, build(15, 1), build(15, 2)])
    if numbered:
        assert_same_slices(upload, one)
    assert {gray(s).tobytes() for s in upload.slices} == {gray(s).tobytes() for s in one.slices}
    assert len(upload.slices) == 12 and upload.kind == one.kind and not one.notes
    assert upload.notes == ["2 of the pictures are copies of others and are left out."]


@pytest.mark.parametrize("place", [6, 7])
def test_missing_slices_are_said_with_where_and_how_many(place, tmp_path):
    files = dicom_series(VOLUME, spacing=3.0)
    (upload,) = read_all(tmp_path, files[:place] + files[place + 1 :])
    (note,) = upload.notes
    assert upload.kind == "series" and note.startswith(
        f"1 slice seems to be missing between slices {place} and {place + 1}"
    )
    assert "6 mm there, 3 mm elsewhere" in note
    (upload,) = read_all(tmp_path, files[:4] + files[5:9] + files[11:])
    assert upload.notes[0].startswith("3 slices seem to be missing in 2 places")
    assert not read_all(tmp_path, files)[0].notes


def test_uneven_slices_are_said_to_be_uneven(tmp_path):
    files = [
        dicom(
            VOLUME[:, :, i].astype(np.uint16), SeriesInstanceUID="1.2.3", ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 3 * i + (i % 3) * 0.8], PixelSpacing=[2, 2],
        )
        for i in range(20)
    ]  # fmt: skip
    (upload,) = read_all(tmp_path, files)
    assert upload.kind == "series" and upload.notes == ["The slices are unevenly spaced, 1.4 to 3.8 mm apart."]


@pytest.mark.parametrize("odd", ["FMRI-BOLD", "3-PL", "T1-W", "Ünü\x07", "x" * 200])
def test_an_odd_type_of_picture_takes_nothing_from_the_others(odd, tmp_path):
    of = {kind: {"ImageType": ["ORIGINAL", "PRIMARY", odd, kind], "SeriesInstanceUID": "1.2.3"} for kind in "MP"}
    found = read_all(tmp_path, [f for tags in of.values() for f in dicom_series(VOLUME, **tags)])
    assert [len(upload.slices) for upload in found] == [20, 20], "magnitude and phase are no copies"
    tags = of["M"] | {"ImageType": ["ORIGINAL", "PRIMARY", odd, "MOSAIC"]}
    (rejected,) = read_all(tmp_path, dicom_series(VOLUME[:, :, :5], **tags))
    assert "is a mosaic" in rejected.reason
    tags = of["M"] | {"ImageType": ["ORIGINAL", "PRIMARY", odd, "LOCALIZER"]}
    assert read_all(tmp_path, dicom_series(VOLUME[:, :, :5], **tags))[0].localizer


@pytest.mark.parametrize("uid", ["ANON-1/{}", "1." * 40 + "{}", "häußlich {}"])
def test_what_is_no_proper_identifier_still_tells_which_files_belong_together(uid, tmp_path):
    files = []
    for series in (3, 4):
        for index in range(12):
            tags = {"SeriesInstanceUID": uid.format(series), "InstanceNumber": index + 1}
            files.append(dicom(VOLUME[:, :, index] + np.int16(series), SpecificCharacterSet="ISO_IR 192", **tags))
    assert [len(upload.slices) for upload in read_all(tmp_path, files)] == [12, 12]


@pytest.mark.parametrize("told", ["ImageType", "SeriesDescription", "planes"])
def test_a_localizer_is_told_from_scans_and_each_of_its_slices_stands_alone(told, tmp_path):
    tags = {"SeriesInstanceUID": "1.2.3"}
    tags |= {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]} if told == "ImageType" else {}
    tags |= {"SeriesDescription": "3-plane scout"} if told == "SeriesDescription" else {}
    planes = ("axial", "coronal", "sagittal") if told == "planes" else ("axial", "coronal")
    volume = [f for plane in planes for f in dicom_series(marked_volume()[8:48, :40], plane, **tags)[18:21]]
    (upload,) = read_all(tmp_path, volume)
    assert upload.localizer and upload.kind == "pages" and len(upload.slices) == 3 * len(planes)
    assert "localizer" in upload.notes[0]


@pytest.mark.parametrize(
    "tags",
    [
        {"SeriesDescription": "T1 MPRAGE survey study"},
        {"SeriesDescription": "T1 Leksell localizer"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    ],
    ids=str,
)
def test_many_slices_side_by_side_are_no_localizer_whatever_a_word_says(tags, tmp_path):
    (upload,) = read_all(tmp_path, dicom_series(VOLUME, **tags))
    assert not upload.localizer and upload.kind == "volume" and len(upload.slices) == 20


@pytest.mark.parametrize(
    "tags",
    [
        {"SeriesDescription": "T1 Leksell localizer"},
        {"SeriesDescription": "BrainLAB localizer T1 3D"},
        {"ProtocolName": "t1_mprage_after_localizer"},
    ],
    ids=str,
)
def test_a_stereotactic_localizer_and_what_comes_after_one_are_scans_also_of_few_slices(tags, tmp_path):
    (upload,) = read_all(tmp_path, dicom_series(VOLUME[:, :, :12], **tags))
    assert not upload.localizer and "localizer" not in upload.facts["Sequence"] and len(upload.slices) == 12


def test_a_few_files_that_say_localizer_make_no_series_one(tmp_path):
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    files = [dicom_series(VOLUME[:, :, :12], SeriesInstanceUID="1.2.3", **tags) for tags in ({}, scout)]
    (upload,) = read_all(tmp_path, files[0][:3] + files[1][3:4] + files[0][4:])
    assert not upload.localizer and len(upload.slices) == 12


def test_few_slices_in_three_planes_are_scans_if_their_sequence_is_named(tmp_path):
    tags = {"SeriesInstanceUID": "1.2.3", "SeriesDescription": "T2 TSE"}
    planes = ("axial", "coronal", "sagittal")
    found = read_all(tmp_path, [f for p in planes for f in dicom_series(marked_volume()[8:48, :40], p, **tags)[18:23]])
    assert [(upload.localizer, len(upload.slices)) for upload in found] == [(False, 5)] * 3


def test_scans_in_three_planes_under_one_identifier_are_three_and_no_localizer(tmp_path):
    planes = ("axial", "coronal", "sagittal")
    files = [f for p in planes for f in dicom_series(marked_volume()[8:48, :40], p, SeriesInstanceUID="1.2.3")[14:24]]
    found = read_all(tmp_path, files)
    assert sorted(upload.plane for upload in found) == sorted(planes)
    assert all(upload.kind in ("series", "volume") and not upload.localizer for upload in found)
    assert [len(upload.slices) for upload in found] == [10, 10, 10]


@pytest.mark.parametrize("where", [{"ImagePositionPatient": [1, 2, 3]}, {"SliceLocation": 3.0}])
def test_of_slices_that_all_say_one_place_none_stands_for_the_others(where, tmp_path):
    files = [
        dicom(
            VOLUME[:, :, 4 + i].astype(np.uint16), SeriesInstanceUID="1.2.3", InstanceNumber=i + 1,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], **where,
        )
        for i in range(12)
    ]  # fmt: skip
    (upload,) = read_all(tmp_path, files)
    assert upload.kind == "pages" and len(upload.slices) == 12 and "at one place" in upload.notes[0]


def test_slices_around_an_axis_stand_alone(tmp_path):
    files = []
    for index in range(15):
        angle = np.pi * index / 15
        direction = [f"{np.cos(angle):.8f}", f"{np.sin(angle):.8f}", 0, 0, 0, -1]
        files.append(
            dicom(
                VOLUME[:, :, 10].astype(np.uint16) + index, SeriesInstanceUID="1.2.3", InstanceNumber=index,
                ImageOrientationPatient=direction, ImagePositionPatient=[1, 2, 3],
            )
        )  # fmt: skip
    (upload,) = read_all(tmp_path, files)
    assert upload.kind == "pages" and len(upload.slices) == 15 and "many directions" in upload.notes[0]
