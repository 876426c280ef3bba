"""Collects photographs that public packages happen to ship, for `benchmarks.familiarity`. Nothing of them is committed.

    python -m benchmarks.collect_photographs runs/photographs

Downloads fixed versions with `pip download` and, where there is one, `apt-get download` (some 250 MB), and takes from
each the photographs listed here. They were chosen by eye from all pictures in these packages, one of each scene and
before any was scored; drawings and second views of the same scene were left out. Screenshots and figures of a manual
go to the folder `screens`, medical pictures that show no head to `medical`.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PIP = {
    "face-recognition==1.3.0": (
        "face_recognition-1.3.0/tests/test_images",
        """
        32bit.png
        biden.jpg
        obama.jpg
        obama3.jpg
        """,
    ),
    "imgaug==0.4.0": (
        "imgaug",
        """
        quokka.jpg
        """,
    ),
    "insightface==2.1": (
        "insightface/data/images",
        """
        Tom_Hanks_54745.png
        mask_black.jpg
        t1.jpg
        """,
    ),
    "mahotas==1.4.19": (
        "mahotas-1.4.19/mahotas/demos/data",
        """
        DepartmentStore.jpg
        lena.jpg
        luispedro.jpg
        """,
    ),
    "opencv-python==4.12.0.88": (
        "opencv-python-4.12.0.88/opencv",
        """
        doc/js_tutorials/js_assets/apple.jpg
        doc/js_tutorials/js_assets/coins.jpg
        doc/js_tutorials/js_assets/handDst.jpg
        doc/js_tutorials/js_assets/orange.jpg
        doc/py_tutorials/images/obj_icon.jpg
        doc/py_tutorials/py_calib3d/images/calibration_icon.jpg
        doc/py_tutorials/py_imgproc/images/grabcut.jpg
        doc/py_tutorials/py_imgproc/images/houghcircles.jpg
        doc/py_tutorials/py_photo/py_hdr/images/fusion_mertens.jpg
        doc/tutorials/app/images/astra_color.jpg
        doc/tutorials/dnn/dnn_pytorch_tf_classification/images/opencv_resnet50_test_res_c.jpg
        doc/tutorials/dnn/dnn_pytorch_tf_detection/images/opencv_bus_res.jpg
        doc/tutorials/dnn/dnn_text_spotting/detect_test1.jpg
        doc/tutorials/dnn/dnn_text_spotting/detect_test2.jpg
        doc/tutorials/dnn/dnn_text_spotting/text_det_test_results.jpg
        doc/tutorials/dnn/dnn_yolo/images/yolo.jpg
        doc/tutorials/dnn/images/space_shuttle.jpg
        doc/tutorials/imgproc/erosion_dilatation/images/Morphology_1_Tutorial_Original_Image.jpg
        doc/tutorials/imgproc/generalized_hough_ballard_guil/images/generalized_hough_image.jpg
        doc/tutorials/imgproc/histograms/histogram_calculation/images/Histogram_Calculation_Original_Image.jpg
        doc/tutorials/imgproc/histograms/template_matching/images/Template_Matching_Original_Image.jpg
        doc/tutorials/imgproc/imgtrans/laplace_operator/images/Laplace_Operator_Tutorial_Original_Image.jpg
        doc/tutorials/imgproc/imgtrans/remap/images/Remap_Tutorial_Original_Image.jpg
        doc/tutorials/imgproc/motion_deblur_filter/images/motion_original.jpg
        doc/tutorials/imgproc/opening_closing_hats/images/Morphology_2_Tutorial_Original_Image.jpg
        doc/tutorials/imgproc/shapedescriptors/bounding_rects_circles/images/Bounding_Rects_Circles_Source_Image.jpg
        doc/tutorials/imgproc/threshold_inRange/images/Threshold_inRange_Tutorial_Result_input.jpeg
        doc/tutorials/introduction/android_binary_package/images/11_demo.jpg
        doc/tutorials/objdetect/aruco_board_detection/images/gbaxis.jpg
        doc/tutorials/objdetect/aruco_board_detection/images/singlemarkersaxes.jpg
        doc/tutorials/others/images/Background_Subtraction_Tutorial_frame.jpg
        doc/tutorials/others/images/Cascade_Classifier_Tutorial_Result_Haar.jpg
        doc/tutorials/others/images/affinepano.jpg
        doc/tutorials/others/images/barcode_book.jpg
        doc/tutorials/others/images/boat.jpg
        doc/tutorials/others/images/fusion.png
        modules/imgproc/doc/pics/building.jpg
        modules/imgproc/doc/pics/inv_logpolar.jpg
        samples/data/aero1.jpg
        samples/data/aloeL.jpg
        samples/data/basketball1.png
        samples/data/board.jpg
        samples/data/box.png
        samples/data/chicky_512.png
        samples/data/ela_modified.jpg
        samples/data/graf1.png
        samples/data/left.jpg
        samples/data/left01.jpg
        samples/data/leuvenA.jpg
        samples/data/licenseplate_motion.jpg
        samples/data/rubberwhale1.png
        samples/data/stuff.jpg
        """,
    ),
    "pillow==12.3.0": (
        "pillow-12.3.0/Tests/images",
        """
        app13-multiple.jpg
        bc5_unorm.png
        exif-72dpi-int.jpg
        exif_gps_typeerror.jpg
        flower.jpg
        flower2.jpg
        junk_jpeg_header.jpg
        sugarshack_bad_mpo_header.jpg
        xmp_tags_orientation.png
        xmp_test.jpg
        """,
    ),
    "scikit-image==0.16.2": (
        "skimage/data",
        """
        astronaut.png
        brick.png
        camera.png
        chelsea.png
        coffee.png
        coins.png
        grass.png
        gravel.png
        moon.png
        motorcycle_left.png
        rocket.jpg
        """,
    ),
    "thumbor==7.8.0": (
        "thumbor-7.8.0",
        """
        docs/images/cropped_image.jpg
        tests/fixtures/images/10_years_of_Wikipedia_by_Guillaume_Paumier.jpg
        tests/fixtures/images/Christophe_Henner_-_June_2016.jpg
        tests/fixtures/images/Giunchedi%2C_Filippo_January_2015_01-cmyk-orientation-exif.jpg
        tests/fixtures/images/weird_normalize_error.jpg
        thumbor/fixtures/filters/800px-Guido-portrait-2014.jpg
        thumbor/fixtures/filters/redeye.png
        """,
    ),
    "ultralytics==8.4.190": (
        "ultralytics/assets",
        """
        bus.jpg
        zidane.jpg
        """,
    ),
}
"""Package -> the folder in its archive, and the pictures below it."""

OTHERS = {
    "opencv-python==4.12.0.88": (
        "screens",
        re.compile(r".*/doc/tutorials/(introduction|app|gapi|ios|ml)/.*(?<!_original)\.(png|jpg)"),
    ),
    "scikit-image==0.16.2": ("medical", re.compile(r"skimage/data/(retina|microaneurysms|ihc|cell|multipage)\.\w+")),
}
"""Package -> a folder for pictures that are no photographs, and which those are."""

AS_SOURCE = ("face-recognition", "mahotas", "opencv-python", "pillow", "thumbor")
"""Packages whose pictures are in the source archive only."""
FOR_PYTHON_37 = ("scikit-image",)
"""Later versions download their pictures one by one instead of shipping them."""

APT = {
    "lomiri-wallpapers-16.04=20.04.0-2": (
        "usr/share/backgrounds",
        """
        Bridge_by_Sander_Klootwijk.jpg
        Dragonfly_by_Bolly.jpg
        Picture_0B_by_freespace.jpg
        Picture_1A_by_freespace.jpg
        Wine_by_Jakkub_Mede.jpg
        aitzgorri_by_Aitzol_Berasategi.jpg
        analogpattern_by_Peter_Nerlich.jpg
        free_by_Peter_Nerlich.jpg
        friends_by_Aitzol_Berasategi.jpg
        greentock_by_Peter_Nerlich.jpg
        life_by_Aitzol_Berasategi.jpg
        picosdeeuropa_by_Aitzol_Berasategi.jpg
        seeding_by_Clements_Engelhardt.jpg
        sunset_by_Aitzol_Berasategi.jpg
        """,
    ),
    "lomiri-wallpapers-20.04=20.04.0-2": (
        "usr/share/backgrounds",
        """
        Infinite-Sea_by_Aury88.jpg
        Kleiber_by_Lukas_Baubkus.jpg
        """,
    ),
    "mate-backgrounds=1.26.0-1": (
        "usr/share/backgrounds/mate/nature",
        """
        Aqua.jpg
        Blinds.jpg
        Dune.jpg
        FreshFlower.jpg
        Garden.jpg
        GreenMeadow.jpg
        LadyBird.jpg
        RainDrops.jpg
        Storm.jpg
        TwoWings.jpg
        Wood.jpg
        YellowFlower.jpg
        """,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the photographs go")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    packages = {name: (download_from_pip, *listed) for name, listed in PIP.items()}
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        packages |= {name: (download_from_apt, *listed) for name, listed in APT.items()}
    else:
        print(f"Left out, as there is no apt-get here: {', '.join(APT)}", file=sys.stderr)
    for name, (download, below, listing) in packages.items():
        wanted = [f"{below}/{line.strip()}" for line in listing.strip().splitlines()]
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = download(name, wanted, Path(scratch))
            except (subprocess.CalledProcessError, IndexError):
                print(f"{name}: cannot be downloaded any more; its {len(wanted)} photographs are missing")
                continue
        package, (kind, _) = name.split("=")[0], OTHERS.get(name, ("", None))
        for path, content in found.items():
            folder = arguments.folder if path in wanted else arguments.folder / kind
            folder.mkdir(exist_ok=True)
            (folder / f"{package}__{path.removeprefix(below + '/').replace('/', '_')}").write_bytes(content)
        print(f"{name}: {len(set(wanted) & set(found))} of {len(wanted)} photographs")


def download_from_pip(name: str, wanted: list[str], scratch: Path) -> dict[str, bytes]:
    """Path in the archive -> content."""
    package = name.split("=")[0]
    flags = ["--only-binary", package]
    if package in AS_SOURCE:
        flags = ["--no-binary", package]
    elif package in FOR_PYTHON_37:
        flags += ["--python-version", "3.7", "--platform", "manylinux1_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *flags, "--dest", str(scratch), name]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    archive = next(iter(sorted(scratch.iterdir())), None)
    if archive is None:
        return {}
    _, others = OTHERS.get(name, ("", re.compile(r"(?!)")))
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            return {path: file.read(path) for path in file.namelist() if path in wanted or others.fullmatch(path)}
    with tarfile.open(archive) as file:
        chosen = (m for m in file if m.isfile() and (m.name in wanted or others.fullmatch(m.name)))
        return {member.name: file.extractfile(member).read() for member in chosen}


def download_from_apt(name: str, wanted: list[str], scratch: Path) -> dict[str, bytes]:
    subprocess.run(["apt-get", "download", "-qq", name], cwd=scratch, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["dpkg-deb", "-x", next(scratch.glob("*.deb")), scratch], check=True)
    return {path: (scratch / path).read_bytes() for path in wanted if (scratch / path).is_file()}


if __name__ == "__main__":
    main()
