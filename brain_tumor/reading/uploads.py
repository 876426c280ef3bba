"""What every reader returns (`Upload`, `Slice`, `Rejected`), and the limits of an upload."""

from dataclasses import dataclass, field

from PIL import Image

MAX_FILES = 3000
"""The most files of one upload, those inside zips included."""

MAX_TOTAL_BYTES = 512 * 1024**2
"""The most bytes of one upload, before unpacking and after."""

MAX_VOLUME_BYTES = 256 * 1024**2
"""The most bytes of one volume's file (NIfTI, MGH): `MAX_VOXELS` of four bytes. Else `pictures.MAX_FILE_BYTES`."""

MAX_SLICES = 400
"""The most slices of one volume, series or file of pages; of longer ones every second, third, ... is taken."""

MAX_SECONDS = 120
"""The longest time for one request of a visitor; what has not been read by then is left out."""

MAX_VOXELS = 2**26
"""The most voxels of one volume: 512 x 512 x 256, or 406 x 406 x 406. They take 256 MB while it is read. Also the most
pixels of all frames or pages of a file together."""

MAX_PAGES = 5000
"""The most pages of a TIFF that are counted."""


@dataclass(frozen=True)
class Slice:
    """One slice as the model gets it."""

    image: Image.Image
    """8-bit RGB at its own size; square pixels for volumes and DICOM. Color stays color."""
    name: str
    """Its name within its upload: "" (the only one), "page 2", "slice 34", "frame 3"."""
    counts: bool = True
    """False if it shows too little of the head to be judged (empty, above or below the brain)."""

    @property
    def number(self) -> int:
        """The number in its name; the only one is the first."""
        return int(self.name.rpartition(" ")[2] or 1)


@dataclass(frozen=True)
class Upload:
    """One scan, or the slices that belong together."""

    name: str
    """The file's name as it came (it may be a patient's), or a neutral one: "DICOM series 3 (t2 tra), 24 slices". What
    is in a zip has the zip's name before it: "study.zip/IMG/0001.dcm"."""
    kind: str
    """ "picture", "pages" (a TIFF of pages, DICOM frames that are no volume, a localizer), "series" or "volume"."""
    slices: list[Slice]
    """At least one."""
    facts: dict[str, str] = field(default_factory=dict)
    """What the file was, in words for the page: "Format", "Size", "Bit depth", "Modality", "Sequence", ...
    Of DICOM also "Contrast agent" ("yes", "no"), "Body part" and "Series" (number and description in known words); what
    a header does not say is "not stated"."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the visitor."""
    plane: str | None = None
    """ "axial", "coronal" or "sagittal"; None if unknown."""
    planes: tuple[str, ...] = ()
    """The planes that can be chosen; none if there is no choice."""
    sides_known: bool = False
    """True if the patient's right is on the left of each slice; sagittal slices show one side, so False for them."""
    extent: tuple[float, float, float] | None = None
    """Millimeters that a slice is wide and high, and from slice to slice; None where slices are not evenly spaced, or
    are no slices of one head."""
    localizer: bool = False
    """True for a few coarse slices by which a scan was planned (a scout), and which are none to be judged by."""

    files: tuple[str, ...] = ()
    """The names of a series' files, which has a neutral name itself; empty where an upload has the name of its file."""


@dataclass(frozen=True)
class Rejected:
    """A file that cannot be read."""

    name: str
    reason: str
    """A sentence for the visitor: what was wrong, what to do."""
    what: str = ""
    """What it is, if it is no scan that failed but comes along with one, such as "a report"; else empty."""
