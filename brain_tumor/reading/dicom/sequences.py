"""The pulse sequence of a DICOM file in fixed words (T1, FLAIR, ...): nothing else is taken from its free text."""

import re

from brain_tumor.reading.dicom.parsing import read_number

_SEQUENCE_WORDS = {
    r"flair|dark.?fluid": "FLAIR",
    r"mp.?rage|t1.?tfe|bravo|spgr|fspgr": "gradient echo T1 (3D)",
    r"(?<![a-z0-9])t1": "T1",
    r"(?<![a-z0-9])t2(?!\*|.?star)": "T2",
    r"(?<![a-z0-9])t2(\*|.?star)|gre.?heme": "T2*",
    r"(?<![a-z])(pd|dp)(?![a-z])|proton": "proton density",
    r"dwi|diff|(?<![a-z])dti|trace": "diffusion",
    r"(?<![a-z])adc": "ADC map",
    r"(?<![a-z])swi|suscept": "susceptibility",
    r"(?<![a-z])stir|(?<![a-z])tirm": "STIR",
    r"(?<![a-z])tof|angio": "angiography",
    r"(?<![a-z])perf|(?<![a-z])pwi|(?<![a-z])asl(?![a-z])": "perfusion",
    r"localizer|scout|survey|(?<![a-z])loc(?![a-z])": "localizer",
}

_CONTRAST_WORDS = r"(?<![a-z])(gd|gad[a-z]*|post|c\+|\+c|ce|km|contrast)(?![a-z])"

_SCANNING = {"SE": "spin echo", "IR": "inversion recovery", "GR": "gradient echo", "EP": "echo planar"}


def name_sequence(dataset) -> str:
    """Name the pulse sequence in words of this module and numbers of the file; "" if nothing is known."""
    text = " ".join(str(dataset.get(tag) or "") for tag in ("SeriesDescription", "ProtocolName")).lower()[:500]
    words = [word for pattern, word in _SEQUENCE_WORDS.items() if re.search(pattern, text)]
    if "gradient echo T1 (3D)" in words and "T1" in words:
        words.remove("T1")
    try:
        codes = dataset.get("ScanningSequence") or []
        codes = [codes] if isinstance(codes, str) else list(codes)
    except Exception:
        codes = []
    if not words:
        words = [_SCANNING[code] for code in codes if code in _SCANNING]
    try:
        contrast = bool(str(dataset.get("ContrastBolusAgent") or "").strip())
    except Exception:
        contrast = False
    if contrast or re.search(_CONTRAST_WORDS, text):
        words.append("with contrast agent")
    times = [
        f"{name} {value:,.4g} ms"
        for name, tag in (("TR", "RepetitionTime"), ("TE", "EchoTime"), ("TI", "InversionTime"))
        if (value := read_number(dataset, tag)) is not None and 0 < value < 1e6
    ]
    return ", ".join([*words, *times])
