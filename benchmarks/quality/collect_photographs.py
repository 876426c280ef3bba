"""Collects photographs that public packages happen to ship, for `quality.familiarity`. None of them is committed.

    python -m benchmarks.quality.collect_photographs runs/photographs

Downloads fixed versions with `pip download` and, where there is one, `apt-get download` (some 350 MB), and takes from
each the photographs listed here. They were chosen by eye from all pictures in these packages, one of each scene and
before any was scored; drawings and second views of the same scene were left out. Other pictures go to folders of their
own: screenshots and figures of a manual to `screens`, medical pictures that show no head to `medical`, MRI and CT of
other body parts to `body`, CT of a head to `head_ct`, and a healthy brain to `healthy`.
"""

import argparse
import gzip
import io
import os
import plistlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

MAX_SECONDS = 300
"""Of one download. For a source archive pip asks the package about itself, for which some compile all they have."""

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
    "pydicom==1.4.2": ("pydicom/data/test_files", ""),
    "pydicom==3.0.2": ("pydicom/data/test_files", ""),
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

AS_SOURCE = ("face-recognition", "pillow", "thumbor")
"""Packages whose pictures are in the source archive only."""

FOR_PYTHON_37 = ("scikit-image",)
"""Later versions download their pictures one by one instead of shipping them."""

APT = {
    "invesalius-examples=3.1.99998-4": ("usr/share/doc/invesalius-examples/examples", ""),
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
    "mricron-data=1.2.20211006+dfsg-4": ("usr/share/mricron/templates", ""),
    "opencv-doc=4.6.0+dfsg-12": (
        "usr/share/doc/opencv-doc",
        """
        examples/data/aero1.jpg
        examples/data/aloeL.jpg
        examples/data/basketball1.png
        examples/data/board.jpg
        examples/data/box.png
        examples/data/chicky_512.png
        examples/data/ela_modified.jpg
        examples/data/graf1.png
        examples/data/left.jpg
        examples/data/left01.jpg
        examples/data/leuvenA.jpg
        examples/data/licenseplate_motion.jpg
        examples/data/rubberwhale1.png
        examples/data/stuff.jpg
        opencv4/html/11_demo.jpg
        opencv4/html/Background_Subtraction_Tutorial_frame.jpg
        opencv4/html/Bounding_Rects_Circles_Source_Image.jpg
        opencv4/html/Cascade_Classifier_Tutorial_Result_Haar.jpg
        opencv4/html/Histogram_Calculation_Original_Image.jpg
        opencv4/html/Laplace_Operator_Tutorial_Original_Image.jpg
        opencv4/html/Morphology_1_Tutorial_Original_Image.jpg
        opencv4/html/Morphology_2_Tutorial_Original_Image.jpg
        opencv4/html/Remap_Tutorial_Original_Image.jpg
        opencv4/html/Template_Matching_Original_Image.jpg
        opencv4/html/Threshold_inRange_Tutorial_Result_input.jpeg
        opencv4/html/affinepano.jpg
        opencv4/html/apple.jpg
        opencv4/html/astra_color.jpg
        opencv4/html/boat.jpg
        opencv4/html/building.jpg
        opencv4/html/coins.jpg
        opencv4/html/detect_test1.jpg
        opencv4/html/detect_test2.jpg
        opencv4/html/fusion.png
        opencv4/html/fusion_mertens.jpg
        opencv4/html/gbaxis.jpg
        opencv4/html/handDst.jpg
        opencv4/html/motion_original.jpg
        opencv4/html/opencv_bus_res.jpg
        opencv4/html/opencv_resnet50_test_res_c.jpg
        opencv4/html/orange.jpg
        opencv4/html/singlemarkersaxes.jpg
        opencv4/html/space_shuttle.jpg
        opencv4/html/text_det_test_results.jpg
        opencv4/html/yolo.jpg
        """,
    ),
}

OTHERS = {
    "invesalius-examples=3.1.99998-4": {"head_ct": "Cranium.inv3"},
    "mricron-data=1.2.20211006+dfsg-4": {"healthy": "ch2.nii.gz ch2bet.nii.gz"},
    "opencv-doc=4.6.0+dfsg-12": {
        "screens": """
        opencv4/html/01_overview_single.jpg
        opencv4/html/02_single_image_view.jpg
        opencv4/html/03_overview_two.jpg
        opencv4/html/04_default_filter_view.jpg
        opencv4/html/07_dual_filter_view_edges.jpg
        opencv4/html/08_overview_all.jpg
        opencv4/html/09_overview_filtered_type_match.jpg
        opencv4/html/1-window-preferences.png
        opencv4/html/10-new-project-created.png
        opencv4/html/10_line_match_view.jpg
        opencv4/html/10_opencv_dependency.png
        opencv4/html/11-the-code.png
        opencv4/html/13_raw_view.jpg
        opencv4/html/14_overview_group_by_line.jpg
        opencv4/html/1_start_new_project.png
        opencv4/html/2-user-library-new.png
        opencv4/html/2_start_new_project.png
        opencv4/html/3-library-name.png
        opencv4/html/3_start_new_project.png
        opencv4/html/4-add-external-jars.png
        opencv4/html/4_start_new_project.png
        opencv4/html/5-native-library.png
        opencv4/html/5_setup.png
        opencv4/html/6-external-folder.png
        opencv4/html/6_run_empty_project.png
        opencv4/html/7-user-library-final.png
        opencv4/html/7_5-new-java-project.png
        opencv4/html/7_import_module.png
        opencv4/html/8-add-library.png
        opencv4/html/8_import_module.png
        opencv4/html/9-select-user-lib.png
        opencv4/html/9_opencv_dependency.png
        opencv4/html/AVD_create.png
        opencv4/html/AddNewPropertySheet.jpg
        opencv4/html/CMake*.jpg
        opencv4/html/Capture*.*
        opencv4/html/ChangeBuildVisualStudio.jpg
        opencv4/html/Feature_FlannMatcher_Lowe_ratio_test.png
        opencv4/html/IntelTBB.png
        opencv4/html/MatBasicContainerOut*.png
        opencv4/html/NewProjectVisualStudio.jpg
        opencv4/html/NormTypes_OneArray_1-2-INF.png
        opencv4/html/OpenCVBuildResultWindows.jpg
        opencv4/html/OpenCV_Install_Directory.*
        opencv4/html/PathEditorOpenCV*.png
        opencv4/html/PropertyPage*.jpg
        opencv4/html/PropertySheet*.jpg
        opencv4/html/SVM_Comparison.png
        opencv4/html/Smoothing_Tutorial_theory_gaussian_0.jpg
        opencv4/html/Sobel_Derivatives_Tutorial_Theory_*Intensity_Function.jpg
        opencv4/html/StitchingPipeline.jpg
        opencv4/html/SuccessVisualStudioWindows.jpg
        opencv4/html/Trackbar_Tutorial_Range.png
        opencv4/html/VCDirectories20*.jpg
        opencv4/html/VisualStudioCommandLineArguments.jpg
        opencv4/html/WindowsBuildInstall.png
        opencv4/html/WindowsQtContoursOutput.png
        opencv4/html/a[0-9].png
        opencv4/html/a1[0-4].png
        opencv4/html/android_*.png
        opencv4/html/ant_output.png
        opencv4/html/attributes-*.png
        opencv4/html/breakpoint.png
        opencv4/html/cmake_output.png
        opencv4/html/create_groups.png
        opencv4/html/crf.jpg
        opencv4/html/dev_OCV_reference.png
        opencv4/html/doxygen-[1-3].png
        opencv4/html/eclipse_*.png
        opencv4/html/gapi_scheme.png
        opencv4/html/gvedit.jpg
        opencv4/html/hash_comput*_chart.JPG
        opencv4/html/header_directive.png
        opencv4/html/histogram_rgb_plot.jpg
        opencv4/html/ios_hello_output.png
        opencv4/html/knn_*.png
        opencv4/html/linking_opencv_ios.png
        opencv4/html/massif_export_*.png
        opencv4/html/mlp.png
        opencv4/html/ndk_build.png
        opencv4/html/neuron_model.png
        opencv4/html/oc_1d_*.png
        opencv4/html/oc_2d_clustered.jpg
        opencv4/html/optimal-hyperplane.png
        opencv4/html/outline.jpg
        opencv4/html/pca_*e*.png
        opencv4/html/qtDownloadThisPackage.png
        opencv4/html/root_group_single_channel.png
        opencv4/html/sample-errors-dist.png
        opencv4/html/sbt_*.png
        opencv4/html/scholarship_cite_dialog.png
        opencv4/html/separating-lines.png
        opencv4/html/sigmoid_bipolar.png
        opencv4/html/single_channel.png
        opencv4/html/svm_basics*.png
        opencv4/html/svm_intro_result.png
        opencv4/html/svm_non_linear_result.png
        opencv4/html/test.png
        opencv4/html/testdata.jpg
        opencv4/html/toolwindow.jpg
        opencv4/html/trackbar_screenshot.jpg
        opencv4/html/train.png
        opencv4/html/train1.png
        opencv4/html/tshirt*.jpg
        opencv4/html/two_channels.png
        opencv4/html/usb_device_connect_*.png
        opencv4/html/videoCompressSelect.png
        opencv4/html/videoFileStructure.png
        opencv4/html/view_did_load.png
        opencv4/html/viewer_context_menu.png
        opencv4/html/visualstudiocommandprompt.jpg
        opencv4/html/vs_locals.png
        opencv4/html/xcode_*.png
        """
    },
    "pydicom==1.4.2": {
        "body": "CT_small.dcm MR-SIEMENS-DICOM-WithOverlays.dcm MR2_UNCI.dcm explicit_VR-UN.dcm",
        "head_ct": "eCT_Supplemental.dcm",
        "medical": """
        JPEG-LL.dcm
        JPGLosslessP14SV1_1s_1f_8b.dcm
        OBXXXX1A.dcm
        RG1_UNCR.dcm
        RG3_UNCR.dcm
        US1_UNCR.dcm
        color-pl.dcm
        color3d_jpeg_baseline.dcm
        gdcm-US-ALOKA-16.dcm
        """,
    },
    "pydicom==3.0.2": {"head_ct": "J2K_pixelrep_mismatch.dcm"},
    "scikit-image==0.16.2": {"medical": "retina.* microaneurysms.* ihc.* cell.* multipage.*"},
}
"""Package -> a folder for pictures that are no photographs, and patterns for which those are."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the photographs go")
    arguments = parser.parse_args()
    packages = {name: (download_from_pip, *listed) for name, listed in PIP.items()}
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        packages |= {name: (download_from_apt, *listed) for name, listed in APT.items()}
    else:
        print(f"Left out, as there is no apt-get here: {', '.join(APT)}", file=sys.stderr)
    for name, (download, below, photographs) in packages.items():
        listings = {"": photographs} | OTHERS.get(name, {})
        patterns = {folder: [f"{below}/{line}" for line in listing.split()] for folder, listing in listings.items()}

        def folder_of(path: str, patterns: dict[str, list[str]] = patterns) -> str | None:
            return next((f for f, listed in patterns.items() if any(fnmatchcase(path, p) for p in listed)), None)

        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = download(name, lambda path: folder_of(path) is not None, Path(scratch))
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired, StopIteration):
                lost = [folder if folder else f"{len(patterns[folder])} photographs" for folder in patterns]
                lost = " and ".join(lost if photographs else lost[1:])
                print(f"{name}: cannot be downloaded any more; its {lost} are missing", flush=True)
                continue
        counts = dict.fromkeys(patterns, 0)
        for path, content in found.items():
            folder = folder_of(path)
            counts[folder] += 1
            file = f"{name.split('=')[0]}__{path.removeprefix(below + '/').replace('/', '_')}"
            if path.endswith(".inv3"):
                file, content = file.replace(".inv3", ".nii.gz"), invesalius_as_nifti(content)
            (arguments.folder / folder).mkdir(parents=True, exist_ok=True)
            (arguments.folder / folder / file).write_bytes(content)
        told = [f"{counts[folder]} in {folder}" for folder in patterns if folder]
        if photographs:
            told.insert(0, f"{counts['']} of {len(patterns[''])} photographs")
        print(f"{name}: {', '.join(told)}", flush=True)


def download_from_pip(name: str, wanted: Callable[[str], bool], scratch: Path) -> dict[str, bytes]:
    """Path in the archive -> content, of those that are wanted."""
    package = name.split("=")[0]
    flags = ["--only-binary", package]
    if package in AS_SOURCE:
        flags = ["--no-binary", package]
    elif package in FOR_PYTHON_37:
        flags += ["--python-version", "3.7", "--platform", "manylinux1_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *flags, "--dest", str(scratch), name]
    run(command, scratch)
    archive = next(iter(sorted(scratch.iterdir())))
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            return {path: file.read(path) for path in file.namelist() if wanted(path)}
    with tarfile.open(archive) as file:
        return {
            member.name: file.extractfile(member).read() for member in file if member.isfile() and wanted(member.name)
        }


def download_from_apt(name: str, wanted: Callable[[str], bool], scratch: Path) -> dict[str, bytes]:
    """Path in the package -> content, of those that are wanted."""
    run(["apt-get", "download", "-qq", name], scratch)
    run(["dpkg-deb", "-x", next(scratch.glob("*.deb")), scratch], scratch)
    paths = {path.relative_to(scratch).as_posix(): path for path in scratch.rglob("*.*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if wanted(name)}


def run(command: list, folder: Path) -> None:
    """A command that must end well and in time. Raises CalledProcessError or TimeoutExpired."""
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            status = process.wait(MAX_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # with the compilers that it has started
            raise
    if status:
        raise subprocess.CalledProcessError(status, command)


def invesalius_as_nifti(content: bytes) -> bytes:
    """A project of InVesalius, a tar of arrays, -> NIfTI (.nii.gz) of its CT in the window that the project has."""
    import nibabel

    with tarfile.open(fileobj=io.BytesIO(content)) as file:
        members = {Path(member.name).name: member for member in file if member.isfile()}
        about = plistlib.loads(file.extractfile(members["main.plist"]).read())
        values = file.extractfile(members[about["matrix"]["filename"]]).read()
    values = np.frombuffer(values, about["matrix"]["dtype"]).reshape(about["matrix"]["shape"])
    low, width = about["window_level"] - about["window_width"] / 2, about["window_width"]
    values = values.clip(low, low + width).astype(np.int16).transpose(2, 1, 0)  # from (z, y, x); y goes to the front
    x, y, z = about["spacing"]
    return gzip.compress(nibabel.Nifti1Image(values, np.diag([-x, y, z, 1])).to_bytes(), mtime=0)


if __name__ == "__main__":
    main()
