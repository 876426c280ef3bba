"""Write the bundled example scans: an average brain, as it is and with a simulated tumor of each kind.

    pip install nilearn
    python examples/make_examples.py

The brain is the ICBM 152 T1 average that nilearn ships (skull removed), which may be redistributed: see
LICENSE-ICBM152.txt beside this file. The tumors are drawn by rule (an outline, its contrast enhancement, and the
tissue that it pushes away), so that the demo has something to show of every class without a patient's data.
They illustrate; they are not evidence of what a model can do, and no model was asked while they were drawn.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

OUT = Path(__file__).resolve().parent
SIDE = 320
MM_PER_PIXEL = 0.7
BRAIN_GRAY = 165
"""Gray level of the template's brightest tissue: white matter is mid-gray, which leaves room for enhancement."""
SOURCE = "ICBM 152 T1 average brain (nonlinear, 2009a), skull removed; the tumor, where there is one, is drawn"


class Plane:
    """One flat slice through MNI space, looked at as radiologists do: the patient's right is on the picture's left.

    Args:
        name: "axial" (anterior at the top) or "coronal" (superior at the top).
        position: where the plane lies, in mm: z of an axial plane, y of a coronal one.
        middle: the coordinate at half height, in mm: y of an axial plane, z of a coronal one.
    """

    def __init__(self, name: str, position: float, middle: float):
        self.name, self.position = name, position
        steps = (np.arange(SIDE) - (SIDE - 1) / 2) * MM_PER_PIXEL
        self.right = np.broadcast_to(-steps, (SIDE, SIDE))
        self.up = np.broadcast_to(middle - steps[:, None], (SIDE, SIDE))

    def sample(self, image, right=None, up=None) -> np.ndarray:
        """Gray levels of a volume on this plane, (320, 320); `right` and `up` fetch each pixel from elsewhere on it."""
        right = self.right if right is None else right
        up = self.up if up is None else up
        fixed = np.full_like(right, self.position)
        world = (right, up, fixed) if self.name == "axial" else (right, fixed, up)
        voxels = np.tensordot(np.linalg.inv(image.affine), np.stack([*world, np.ones_like(fixed)]), axes=1)[:3]
        return ndimage.map_coordinates(image.get_fdata(), voxels, order=1)


def healthy(template, white_matter) -> np.ndarray:
    """The average brain as it is, at the height of the lateral ventricles."""
    return Plane("axial", 22, -16).sample(template)


def glioma(template, white_matter) -> np.ndarray:
    """A lobulated mass in the right frontoparietal white matter: dark necrotic core, ragged bright rim, oedema."""
    plane, rng = Plane("axial", 24, -16), np.random.default_rng(1)
    away = np.minimum(_distance(plane, 33, -17) - 15, _distance(plane, 27, -1) - 10)
    away = ndimage.gaussian_filter(away, 2 / MM_PER_PIXEL)  # melts the two lobes into one outline
    away = away + 2.6 * _noise(rng, 5) + 1.0 * _noise(rng, 2)  # distance to the outline in mm, negative inside

    right, up = _push(plane, template, center=(31, -11), by=8, reach=26)
    picture = plane.sample(template, right, up)
    white = plane.sample(white_matter, right, up).clip(0, 1)
    oedema = _inside(away - 13 - 5 * _noise(rng, 5), 3) * white**2  # follows white matter, spares the cortex
    picture = picture * (1 - 0.34 * oedema)

    thickness = 4.2 + 1.6 * _noise(rng, 4)
    core = 0.36 + 0.05 * _noise(rng, 2.5)
    rim = 1.22 + 0.13 * _noise(rng, 1.5)
    tumor = _blend(rim, core, _inside(away + thickness.clip(1.8), 0.8))
    return _blend(picture, tumor, _inside(away, 0.6))


def meningioma(template, white_matter) -> np.ndarray:
    """An even, sharply bounded mass on the left convexity: broad base on the dura, dural tails, cortex pushed in."""
    plane, rng = Plane("axial", 38, -16), np.random.default_rng(2)
    depth = _depth(plane.sample(template) > 0.1, closing_mm=60)  # mm below the dura
    angle = np.arctan2(plane.up + 16, -plane.right)  # 0 at the patient's left, positive towards the front
    along = (angle - 0.32) * 62  # mm along the dura from the middle of the base

    half_base, height = 18.0, 20.0
    bulge = height * np.sqrt(np.clip(1 - np.abs(along / half_base) ** 2.3, 0, 1))
    bulge = ndimage.gaussian_filter(bulge + 0.7 * _noise(rng, 4) * (bulge > 0), 0.8 / MM_PER_PIXEL)
    tail = 1.8 * np.clip(1 - (np.abs(along) - half_base) / 10, 0, 1)

    # Between the mass and 48 mm depth the brain is compressed towards the middle; what lies deeper stays.
    before = np.where((depth > 0) & (depth < 48), np.clip((depth - bulge) / (48 - bulge), 0, 1) * 48, depth)
    down, left = np.gradient(ndimage.gaussian_filter(depth, 2), MM_PER_PIXEL)
    inward_right, inward_up = -left, -down
    norm = np.hypot(inward_right, inward_up).clip(1e-6)
    shift = ndimage.gaussian_filter(depth - before, 1)
    picture = plane.sample(template, plane.right - shift * inward_right / norm, plane.up - shift * inward_up / norm)
    cleft = _inside(np.abs(depth - bulge - 1.0) - 0.7, 0.4) * _inside(3 - bulge, 1)  # a film of fluid round the mass
    picture = picture * (1 - 0.4 * cleft)

    dura = _inside(-depth - 0.7, 0.4)
    picture = _blend(picture, 1.1, _inside(depth - tail, 0.5) * dura * _inside(0.4 - tail, 0.2))
    tumor = 1.2 + 0.025 * _noise(rng, 2.5)
    return _blend(picture, tumor, _inside(depth - bulge, 0.5) * dura * _inside(2 - bulge, 0.5))


def pituitary(template, white_matter) -> np.ndarray:
    """A mass that rises from the sella through its narrow opening and lifts the optic chiasm (coronal plane)."""
    plane, rng = Plane("coronal", 3, 14), np.random.default_rng(3)
    below = np.hypot(plane.right / 1.3, plane.up + 34) - 9.5
    above = np.hypot(plane.right / 1.1, plane.up + 19) - 9.5
    away = ndimage.gaussian_filter(np.minimum(below, above), 1.8 / MM_PER_PIXEL) + 0.7 * _noise(rng, 4)

    right, up = _push(plane, template, center=(0, -18), by=8, reach=15, taper=False)
    picture = plane.sample(template, right, up)
    side = np.abs(plane.right)
    sinus = np.maximum(np.hypot((side - 17.5) / 0.8, (plane.up + 34) / 1.3) - 6.5, 1.2 - away) + 0.5 * _noise(rng, 3)
    carotid = np.hypot(side - 17.5, plane.up + 32) - 2.4  # flowing blood gives no signal
    enhanced = _blend(0.86 + 0.04 * _noise(rng, 2), 0.12, _inside(carotid, 0.6))
    picture = _blend(picture, enhanced, _inside(sinus, 0.6) * _inside(picture - 0.25, 0.06))
    tumor = 1.14 + 0.05 * _noise(rng, 2.5)
    return _blend(picture, tumor, _inside(away, 0.6))


def _depth(brain: np.ndarray, closing_mm: float) -> np.ndarray:
    """Distance in mm to the envelope of the brain, its sulci closed: positive inside, negative outside."""
    margin = int(2 * closing_mm / MM_PER_PIXEL)  # or the border of the picture would count as its envelope
    grown = ndimage.distance_transform_edt(~np.pad(brain, margin)) * MM_PER_PIXEL <= closing_mm
    envelope = ndimage.distance_transform_edt(grown) * MM_PER_PIXEL > closing_mm
    signed = ndimage.distance_transform_edt(envelope) - ndimage.distance_transform_edt(~envelope)
    return ndimage.gaussian_filter(signed, 2)[margin:-margin, margin:-margin] * MM_PER_PIXEL


def _distance(plane: Plane, right: float, up: float) -> np.ndarray:
    return np.hypot(plane.right - right, plane.up - up)


def _noise(rng: np.random.Generator, blur_mm: float) -> np.ndarray:
    """A smooth random field, mean 0, standard deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), blur_mm / MM_PER_PIXEL)
    return (field - field.mean()) / field.std()


def _inside(distance: np.ndarray, edge_mm: float) -> np.ndarray:
    """1 where a signed distance is negative, 0 where it is positive, with an edge of some millimeters between."""
    return 1 / (1 + np.exp((distance / edge_mm * 2).clip(-50, 50)))


def _blend(outside, inside, weight) -> np.ndarray:
    return outside * (1 - weight) + inside * weight


def _push(plane: Plane, template, center, by: float, reach: float, taper: bool = True):
    """Where each pixel's tissue was before a mass at `center` pushed it `by` mm away, fading over `reach` mm.

    With `taper` nothing moves at the surface of the brain, which the skull holds in place.
    """
    right, up = plane.right - center[0], plane.up - center[1]
    radius = np.hypot(right, up).clip(1e-6)
    shift = by * np.exp(-((radius / reach) ** 2))
    if taper:
        brain = ndimage.binary_closing(plane.sample(template) > 0.1, iterations=12)
        shift = shift * (ndimage.distance_transform_edt(brain) * MM_PER_PIXEL / 15).clip(0, 1)
    return plane.right - shift * right / radius, plane.up - shift * up / radius


SCANS = {
    "no_tumor": (healthy, "ICBM 152 average brain without a tumor (skull removed)"),
    "glioma": (glioma, "Simulated glioma in the ICBM 152 average brain (skull removed)"),
    "meningioma": (meningioma, "Simulated meningioma in the ICBM 152 average brain (skull removed)"),
    "pituitary": (pituitary, "Simulated pituitary tumor in the ICBM 152 average brain (skull removed)"),
}


def main(out: Path = OUT) -> None:
    from nilearn import datasets  # only this command needs nilearn

    template, white_matter = datasets.load_mni152_template(resolution=1), datasets.load_mni152_wm_template(resolution=1)
    listing = []
    for label, (draw, caption) in SCANS.items():
        gray = (draw(template, white_matter) * BRAIN_GRAY).clip(0, 255).round().astype(np.uint8)
        Image.fromarray(gray).save(out / f"{label}.png", optimize=True)
        listing.append({"file": f"{label}.png", "label": label, "caption": caption, "source": SOURCE})
    (out / "examples.json").write_text(json.dumps(listing, indent=2) + "\n")


if __name__ == "__main__":
    main()
