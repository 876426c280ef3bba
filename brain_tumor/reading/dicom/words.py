"""What a DICOM header says of a scan, in fixed words and numbers: nothing else is taken from its free text.

Descriptions, body parts and agents are typed by people, and may hold a name: of each only the words of this module are
told. What a header does not say is "not stated"; nothing is guessed from the numbers.
"""

import contextlib
import re

from brain_tumor.reading.dicom.frames import Frame, Groups
from brain_tumor.reading.dicom.parsing import read_number, read_value, read_word, read_words

NOT_STATED = "not stated"

LOCALIZER = "localizer"

MODALITIES = {
    **{"MR": "MRI", "CT": "CT", "PT": "PET", "NM": "nuclear medicine", "ST": "nuclear medicine", "XA": "angiography"},
    **{"US": "ultrasound", "BDUS": "ultrasound", "IVUS": "ultrasound", "DS": "angiography", "MA": "angiography"},
    **{"CR": "X-ray", "DX": "X-ray", "RF": "X-ray", "RG": "X-ray", "DF": "X-ray", "VF": "X-ray", "RTIMAGE": "X-ray"},
    **{"IO": "X-ray", "PX": "X-ray", "BMD": "X-ray", "MG": "mammography", "ES": "endoscopy", "CP": "endoscopy"},
    **{"LP": "endoscopy", "CF": "endoscopy", "XC": "photography", "DMS": "photography", "OP": "eye imaging"},
    **{"OPT": "eye imaging", "OPM": "eye imaging", "OPTENF": "eye imaging", "OPTBSV": "eye imaging"},
    **{"FA": "eye imaging", "FS": "eye imaging", "OCT": "optical tomography", "IVOCT": "optical tomography"},
    **{"SM": "microscopy", "GM": "microscopy", "CFM": "microscopy", "DM": "microscopy", "TG": "thermography"},
    **{"BI": "biomagnetic imaging", "DG": "diaphanography", "LS": "laser scan"},
    **{"OT": "other", "SC": "secondary capture"},
}

_IN_A_NAME = r"(?<![a-z0-9])(?:ax|axial|sag|cor|tra|obl)?(?:[23]d)?"
"""What T1 and T2 are written together with, as in AXT2FSE and 3DT1, or sT1W and dT2W of Philips."""

_SEQUENCE_WORDS = {
    r"flair|dark.?fluid": "FLAIR",
    r"mp2?.?rage|t1.?tfe|bravo|spgr|fspgr": "gradient echo T1 (3D)",
    rf"{_IN_A_NAME}(t1(?!\d)|[a-z]{{1,2}}t1w)": "T1",
    rf"{_IN_A_NAME}(t2(?!\d|\*|.?star)|[a-z]{{1,2}}t2w(?!\*|.?star))": "T2",
    rf"{_IN_A_NAME}t2(\*|.?star)|gre.?heme": "T2*",
    r"(?<![a-z])(pd|dp)(?![a-z])|proton": "proton density",
    r"dwi|diff|(?<![a-z])dti|trace": "diffusion",
    r"(?<![a-z])adc": "ADC map",
    r"(?<![a-z])swi|suscept": "susceptibility",
    r"(?<![a-z])stir|(?<![a-z])tirm": "STIR",
    r"(?<![a-z])tof|angio": "angiography",
    r"(?<![a-z])perf|(?<![a-z])pwi|(?<![a-z])asl(?![a-z])": "perfusion",
    r"(?<!after.)(localizer|scout|survey|(?<![a-z])loc(?![a-z]))|(?<![a-z0-9])(3|three).?pl(ane)?(?![a-z])": LOCALIZER,
}

SEQUENCES = {*_SEQUENCE_WORDS.values()} - {LOCALIZER}
"""Names of sequences; spin echo and the like are none."""

_STEREOTACTIC = r"leksell|brain.?lab|stereota[ckx]"
"""A localizer of these is a frame on the head by which an operation is planned, and its scan a whole one."""

_ACQUISITION_CONTRASTS = {
    **{"T1": "T1", "T2": "T2", "T2_STAR": "T2*", "PROTON_DENSITY": "proton density", "FLUID_ATTENUATED": "FLAIR"},
    **{"DIFFUSION": "diffusion", "PERFUSION": "perfusion", "STIR": "STIR", "TOF": "angiography"},
}

_SCANNING = {"SE": "spin echo", "IR": "inversion recovery", "GR": "gradient echo", "EP": "echo planar"}

_TIMES = {"TR": "repetition times", "TE": "echo times", "TI": "inversion times"}

_BEGIN, _END, _GAP = r"(?<![^\W\d_])", r"(?![^\W\d_])", r"[ _./-]*"
"""Underscores and digits part words."""

_NAMED = r"gd(?:[ _-]?d[to][tp]a)?|gad[a-z]*|mdc|k\.?m|ce"

_AGENT = rf"(?:{_NAMED}|[ck]ontrast\w*?|c|inj[a-zé]*)"

_NO_TIME = r"(?![\W_]{0,3}(op|surg|resec|treat|ther|radi|rt|chemo|biops|proc|recon|crani|stroke|ictal|trauma|fos))"
"""Before or after an operation and the like, not an agent; "post fossa" is the posterior one."""

_WITHOUT = (
    r"w/?o|without|no|not|non|ohne|kein[a-z]*|sans|aucun|sin|senza|vor|pr[eä]|prae|before|avant|prima|antes|nativ"
)

_NO_AGENT = (
    rf"{_BEGIN}(?:{_WITHOUT}){_GAP}(?:(?:de|der|del|di|any|iv){_GAP})?{_AGENT}(?:{_GAP}{_AGENT})?{_END}"
    rf"|{_BEGIN}(?:{_WITHOUT})[ _]?(?:and|und|et|e|y|&|/|\+){_END}"
    rf"|{_BEGIN}{_AGENT}(?:-(?!\w)|[ _]+-[ _]*$)"
    rf"|{_BEGIN}(?:pre{_NO_TIME}|nativ[eo]?|unenhanced|non.?enhanced|(?:pre|non)con|plain){_END}"
    rf"|{_BEGIN}w/?o[ _]*$|\+/-(?=[ _]?(?:gd|gad|km|contrast))"
)

_WITH_AGENT = (
    rf"{_BEGIN}(?:{_NAMED}|post{_NO_TIME}|postcon|c\+|(?<!phase.)[ck]ontrast\w*?|enhanced"
    rf"|post{_GAP}{_AGENT}|(?:with|mit|avec|con|w)[ _]?(?:and|und|et|e|y|&|/)){_END}|\+ ?(?:c|gd|km){_END}"
)

_UNKNOWN_AGENT = r"\W*\?\W*|n\W?a\W?|unk(nown)?|unbekannt|inconnu|unspecified|not (known|stated|specified|recorded)"

_NO_AGENT_NAMED = (
    r"(none|not?|non|n|nil|null|off|false|without|w/?o|ohne|kein[a-z]*|aucun[a-z]*|nein|sans|sin|senza|nessuno|ninguno"
    r"|plain|nativ[eo]?|pre)\b.*|-+|0+([.,]0+)?|(.*[^\d.,])?0+([.,]0+)? ?(ml|cc)\b.*"
)
"""What scanners and people write where an agent would be named, if none was given."""

_BODY_PARTS = {
    r"brain|cerebr|[a-zß]*hirn|enceph": "brain",
    r"pituit|sella|hypoph": "pituitary",
    r"orbit": "orbits",
    r"head|skull|kopf|sch(ae|ä)del|(neuro)?crani|cr(a|â)ne|t(e|ê)te|cabeza": "head",
    r"[ctl]?spine|vertebr|wirbel|(thoraco)?lumb|sacr|cervical|[hbl]ws(?![a-z])": "spine",
    r"neck|hals": "neck",
    r"breast|mamma": "breast",
    r"chest|thora|lung": "chest",
    r"heart|(myo)?cardi": "heart",
    r"abdom|liver|hepat|kidney|(ad)?renal|pancrea": "abdomen",
    r"pelvi|prostat|uter[ui]": "pelvis",
    r"(knee|shoulder|elbow|wrist|ankle|hand|foot|hip|leg|arm|thigh|finger|toe|extremity)(?![a-z])": "limb",
    r"whole.?body": "whole body",
}
"""Beginnings of words; underscores and digits part words."""

_TASK = r"fmri|bold|tapping|motor|clench|task"
"""Of the brain at work: the limb that is named with it is moved, not scanned."""

_DESCRIPTION_WORDS = """
ax axial tra trans transversal transverse cor coronal sag sagittal obl oblique mpr mip
t1 t1w t1wi t2 t2w t2wi t2* pd pdw flair dwi dti adc swi swan stir tirm tof pwi asl perf perfusion mra mrv diff
diffusion trace map fieldmap se tse fse frfse gre fgre ffe tfe spgr fspgr bravo mprage mp2rage space cube vista
vibe haste blade propeller tfl epi ep2d fl2d fl3d trufi ciss fiesta flash ir fl dixon star dark fluid irfse mt
2d 3d iso fs fatsat fat sat spair spir water inphase opphase magnitude phase norm
pre post gd gado gadolinium km ce c+ +c nativ native contrast without with dynamic sub
head brain skull neck spine pituitary sella orbit orbits iac scout survey localizer loc thin thick
"""

_DESCRIPTION_NUMBERS = r"b\d{1,4}|\d{1,2}mm|p\d"

MOST_DESCRIPTION_WORDS = 10


def describe_scan(dataset, groups: Groups) -> dict[str, str]:
    """Facts of a file in words of this module: "Modality", "Sequence", "Contrast agent", "Body part" and "Series".

    Args:
        dataset: the header, as `parsing.parse` returns it.
        groups: of the same file.
    """
    code = read_word(dataset, "Modality").upper()
    text = "\n".join(_text(dataset, tag) for tag in ("SeriesDescription", "ProtocolName"))
    facts = {"Modality": MODALITIES[code]} if code in MODALITIES else {}
    modality = facts.get("Modality", "MRI")
    if modality == "MRI":
        facts["Sequence"] = _name_sequence(dataset, text)
    if modality in ("MRI", "CT"):
        facts["Contrast agent"] = _find_contrast_agent(dataset, text)
    facts["Body part"] = _find_body_part(dataset, groups, text)
    facts["Series"] = _describe_series(dataset)
    return facts


def name_times(frame: Frame) -> str:
    """TR, TE and TI of a frame in milliseconds, as words; "" if they are unknown."""
    known = dict(frame.settings)
    times = [(name, known.get(setting)) for name, setting in _TIMES.items()]
    return ", ".join(f"{name} {time:,.4g} ms" for name, time in times if time is not None and 0 < time < 1e6)


def _text(dataset, tag: str) -> str:
    try:
        return str(read_value(dataset, tag) or "").strip().lower()[:500]
    except Exception:  # pydicom converts a value when it is asked for, and a damaged one can raise nearly anything
        return ""


def _name_sequence(dataset, text: str) -> str:
    words = [word for pattern, word in _SEQUENCE_WORDS.items() if re.search(pattern, text)]
    if LOCALIZER in words and re.search(_STEREOTACTIC, text):
        words.remove(LOCALIZER)
    if "FLAIR" in words and "T1" in words and "T2" not in words:  # T1 FLAIR is weighted by T1: its fluid is dark anyway
        words.remove("FLAIR")
    if "gradient echo T1 (3D)" in words and "T1" in words:
        words.remove("T1")
    if not words:
        words = [_ACQUISITION_CONTRASTS.get(read_word(dataset, "AcquisitionContrast").upper(), "")]
    if words == [""]:
        words = [_SCANNING[code] for code in read_words(dataset, "ScanningSequence") if code in _SCANNING]
    if "LOCALIZER" in map(str.upper, read_words(dataset, "ImageType")) and LOCALIZER not in words:
        words.append(LOCALIZER)
    return ", ".join(words)


def _find_contrast_agent(dataset, text: str) -> str:
    """ "yes", "no", or `NOT_STATED`, also where a header says both."""
    said, agent = set(), _text(dataset, "ContrastBolusAgent")
    if agent and not re.fullmatch(_UNKNOWN_AGENT, agent):
        said.add("no" if re.fullmatch(_NO_AGENT_NAMED, agent) or re.search(_NO_AGENT, agent) else "yes")
    with contextlib.suppress(Exception):
        said |= {"yes"} if dataset.get("ContrastBolusAgentSequence") else set()
    without = re.sub(_NO_AGENT, " ", text, flags=re.MULTILINE)
    said |= {"no"} if without != text else set()
    said |= {"yes"} if re.search(_WITH_AGENT, without) else set()
    return said.pop() if len(said) == 1 else NOT_STATED


def _find_body_part(dataset, groups: Groups, text: str) -> str:
    places = [_text(dataset, "BodyPartExamined")]
    for holder in (dataset, groups.find(0, "FrameAnatomySequence")):
        try:
            places.append(_text(holder.get("AnatomicRegionSequence")[0], "CodeMeaning"))
        except Exception:
            continue
    for place, begin in [*((place, "") for place in places), (text, r"(?<![^\W\d_])")]:  # a tag's value may be glued
        for pattern, word in _BODY_PARTS.items():
            if re.search(f"{begin}(?:{pattern})", place) and not (begin and word == "limb" and re.search(_TASK, place)):
                return word
    return NOT_STATED


def _describe_series(dataset) -> str:
    """Number and description of a series, the latter in `_DESCRIPTION_WORDS`."""
    number = read_number(dataset, "SeriesNumber")
    words = re.findall(r"[a-z0-9*+]+", _text(dataset, "SeriesDescription") or _text(dataset, "ProtocolName"))
    known = [w for w in words if w in _DESCRIPTION_WORDS.split() or re.fullmatch(_DESCRIPTION_NUMBERS, w)]
    parts = [f"{number:.0f}"] if number is not None and 0 <= number < 100_000 else []
    parts += [" ".join(known[:MOST_DESCRIPTION_WORDS])] if known else []
    return ", ".join(parts) or NOT_STATED
