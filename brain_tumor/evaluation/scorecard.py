"""Results of a checkpoint -> five sentences in natural frequencies: what it misses, where, and how sure one may be.

Nothing is said of fewer than `weaknesses.LEAST_SLICES` slices or `weaknesses.LEAST_PATIENTS` patients; what results do
not hold leaves its part of a sentence out, or the whole of it.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from brain_tumor.inference.weaknesses import LEAST_PATIENTS, LEAST_SLICES

SEQUENCES = {"T1C+": "T1 with contrast", "T1": "T1 without contrast", "T2": "T2", "FLAIR": "FLAIR"}
"""As results name them, in the order in which they are told -> in words."""


@dataclass(frozen=True)
class Line:
    """One line of a scorecard.

    Attributes:
        title: what it is about.
        sentence: what was measured, as a sentence.
        basis: intervals, and the slices and patients that the figures rest on.
        figure: the first figure of the sentence alone, such as "about 1 of 100"; may be empty.
    """

    title: str
    sentence: str
    basis: str
    figure: str = ""


@dataclass(frozen=True)
class Rate:
    """A share of slices, the mean over sets, each counting once.

    Attributes:
        value: in [0, 1].
        bounds: of the 95 % interval, in [0, 1]; None where one of the sets has none.
        slices, patients, sets: that it rests on. A patient who is in two sets counts in both.
    """

    value: float
    bounds: tuple[float, float] | None
    slices: int
    patients: int
    sets: int

    def __invert__(self) -> "Rate":
        """Of the slices of which it is not so."""
        low, high = self.bounds or (None, None)
        return Rate(1 - self.value, self.bounds and (1 - high, 1 - low), self.slices, self.patients, self.sets)


def scorecard(results: Mapping) -> list[Line]:
    """At most five lines on the test part.

    Args:
        results: the content of a `results.json`.
    """
    test = results.get("test", {})
    rows = [row for row in test.get("by_kind", []) if not row["plane"]]
    sets = [row | {"set": row["name"]} for row in test.get("by_set", []) if "missed" in row] or rows
    most = (results.get("patients") or {}).get("test", math.inf)
    lines = (
        _missed(sets, rows, most),
        _false_alarms(sets, most),
        _types(sets, rows, most),
        _sureness(sets, most, test),
        _fails_first(rows),
    )
    return [line for line in lines if line]


def about_the_figures(results: Mapping) -> str:
    """What holds of all lines, in sentences."""
    persons = results.get("test", {}).get("by_patient", {})
    known = (
        f"; of the main set's {persons['patients']} patients {persons['known']} are known by number, of the others "
        "only which slices are copies"
        if persons.keys() >= {"patients", "known"} and persons["known"] < persons["patients"]
        else ""
    )
    unseen = {
        "patients": f"No patient and no copy of a slice of the test part was in training{known}.",
        "published": "Other slices of the same patients were in training: on new patients it does worse.",
        "copy_free": "Other slices of the same patients may have been in training: on new patients it does worse.",
    }.get(results.get("split"), "")
    sets = len({row["set"] for row in results.get("test", {}).get("by_kind", [])})
    means = (
        "Figures over several sets are means in which each set counts once; their intervals take the sets as "
        "independent, and a patient may be in two of them."
        if sets > 1
        else ""
    )
    floors = (
        "Counted are verdicts, and “uncertain” is neither a miss nor a false alarm; the card and the sentence beside a "
        "scan count the most probable class instead. Where a patient is not known by number, a slice with its "
        f"copies counts as one. Nothing is said of fewer than {LEAST_SLICES} slices or {LEAST_PATIENTS} patients; sets "
        "of fewer are left out here, though not in the card's means over sets."
    )
    return " ".join(filter(None, (unseen, means, floors)))


def mean_rate(rows: Iterable[Mapping], name: str, most: float = math.inf) -> Rate | None:
    """A figure of rows of `kinds.kind_figures`, over sets; None where too little is known of it.

    Args:
        rows: of any number of sets, or those of `kinds.set_figures`, as "set".
        name: of the figure.
        most: patients of all sets together, if that is known.

    Within a set, rows count by their slices. The bounds of a mean of independent shares come from each share's own, by
    the method of variance estimates recovery: Zou, Huang and Zhang, Computational Statistics and Data Analysis 53
    (2009), 1080.
    """
    known = [
        (row["set"], row[name])
        for row in rows
        if row.get(name) and row[name]["slices"] >= LEAST_SLICES and row[name]["patients"] >= LEAST_PATIENTS
    ]
    if not known:
        return None
    sizes = {}
    for of, share in known:
        sizes[of] = sizes.get(of, 0) + share["slices"]
    weighted = [(share["slices"] / sizes[of] / len(sizes), share) for of, share in known]
    value, bounds = sum(weight * share["value"] for weight, share in weighted), None
    if all(share.get("interval") for _, share in weighted):
        below, above = (
            math.hypot(*(weight * (share["value"] - share["interval"][end]) for weight, share in weighted))
            for end in (0, 1)
        )
        bounds = max(0.0, value - below), min(1.0, value + above)
    patients = min(sum(share["patients"] for _, share in known), most)
    return Rate(value, bounds, sum(sizes.values()), patients, len(sizes))


def of_100(share: float) -> str:
    """A share in [0, 1] as a natural frequency, never none or all where there were some.

    >>> [of_100(share) for share in (0, 0.001, 0.012, 0.996, 1)]
    ['none', 'fewer than 1', 'about 1', 'more than 99', 'all']
    """
    if share in (0, 1):
        return "all" if share else "none"
    if share < 0.005 or share >= 0.995:
        return "more than 99" if share > 0.5 else "fewer than 1"
    return f"about {100 * share:.0f}"


def basis(rate: Rate) -> str:
    """What a rate rests on, with its interval rounded outward."""
    patients = f"{'up to ' if rate.sets > 1 else ''}{rate.patients} patients"
    bounds = ""
    if rate.bounds:
        low, high = (round(100 * bound, 6) for bound in rate.bounds)
        bounds = f"95 % interval {math.floor(low)} to {math.ceil(high)} of 100, "
    return f"{bounds}{rate.slices} slices of {patients}" + (f", {rate.sets} sets" if rate.sets > 1 else "")


def _by_sequence(rows: list[Mapping], name: str, most: float) -> dict[str, Rate]:
    rates = {
        words: mean_rate([r for r in rows if r["sequence"] == key], name, most) for key, words in SEQUENCES.items()
    }
    return {words: rate for words, rate in rates.items() if rate}


def _figure(rows: list[Mapping], *names: str) -> str:
    """The first of these figures that results hold: of the verdict, or, without thresholds, of the most probable
    class."""
    return next((name for name in names if any(row.get(name) for row in rows)), names[0])


def _caught(rows: list[Mapping]) -> tuple[str, Callable[[Rate], Rate]]:
    """Name of the figure that tells of missed tumors, and what makes it the share of the missed."""
    name = _figure(rows, "verdict_sensitivity", "missed")
    return name, (lambda rate: ~rate) if name == "verdict_sensitivity" else (lambda rate: rate)


def _missed(sets: list[Mapping], rows: list[Mapping], most: float) -> Line | None:
    name, missed = _caught(sets)
    if not (whole := mean_rate(sets, name, most)):
        return None
    parts = {words: missed(rate) for words, rate in _by_sequence(rows, name, most).items()}
    return Line(
        "Tumors that it misses",
        f"Of 100 slices with a tumor like those in the public sets, it calls {of_100(missed(whole).value)} “no tumor”"
        + _told(parts),
        _bases(missed(whole), parts),
        f"{of_100(missed(whole).value)} of 100",
    )


def _false_alarms(sets: list[Mapping], most: float) -> Line | None:
    name = _figure(sets, "verdict_specificity", "specificity")
    if not (whole := mean_rate(sets, name, most)):
        return None
    alarms = ~whole
    return Line(
        "False alarms",
        f"Of 100 slices without a tumor, it calls {of_100(alarms.value)} a tumor.",
        _bases(alarms, {}),
        f"{of_100(alarms.value)} of 100",
    )


def _types(sets: list[Mapping], rows: list[Mapping], most: float) -> Line | None:
    if not (whole := mean_rate(sets, "right_type", most)):
        return None
    parts, unclear = _by_sequence(rows, "right_type", most), mean_rate(sets, "type_unclear", most)
    left = f" Of 100 tumors, it leaves the type of {of_100(unclear.value)} open." if unclear else ""
    return Line(
        "The right type",
        f"Of 100 gliomas, meningiomas and pituitary tumors, it finds the right type the most probable in "
        f"{of_100(whole.value)}{_told(parts)}{left}",
        _bases(whole, parts),
        f"{of_100(whole.value)} of 100",
    )


def _sureness(sets: list[Mapping], most: float, test: Mapping) -> Line | None:
    said, bases, figure = [], [], ""
    if uncertain := mean_rate(sets, "uncertain", most):
        said.append(f"of 100 slices, it leaves {of_100(uncertain.value)} open as “uncertain”")
        bases.append(f"Uncertain: {basis(uncertain)}.")
        figure = f"{of_100(uncertain.value)} of 100 left open"
    slices, groups = test.get("slices", 0), test.get("groups", 0)
    risk = {round(share, 2): value for share, value in test.get("risk_coverage", {}).get("points", [])}
    if groups >= LEAST_PATIENTS and slices >= LEAST_SLICES and "ece" in test:
        bounds = test.get("intervals", {}).get("ece")
        interval = f"95 % interval {100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} points, " if bounds else ""
        said.append(f"its confidences differ from how often it is right by {_points(test['ece'])} of 100 on average")
        bases.append(f"Confidences: {interval}{slices} slices of {groups} patients of the main set.")
    if groups >= LEAST_PATIENTS and slices >= 2 * LEAST_SLICES and {0.5, 1.0} <= risk.keys():
        said.append(
            f"of 100 answers, {of_100(risk[1.0])} {'is' if of_100(risk[1.0]).endswith(' 1') else 'are'} wrong, and of "
            f"100 of the surest half {of_100(risk[0.5])}"
        )
    if not said:
        return None
    return Line("How sure one may be", _sentence("; ".join(said)), " ".join(bases), figure)


def _points(share: float) -> str:
    """
    >>> [_points(share) for share in (0.004, 0.01, 0.033)]
    ['less than 1 point', 'about 1 point', 'about 3 points']
    """
    points = round(100 * share)
    return f"about {points} point{'s' if points > 1 else ''}" if points else "less than 1 point"


def _fails_first(rows: list[Mapping]) -> Line | None:
    name, missed = _caught(rows)
    alarms = _figure(rows, "verdict_specificity", "specificity")
    worst = [
        ("it misses the most tumors in {} ({} of 100)", _worst(rows, name, missed)),
        ("it calls the most tumor-free slices a tumor in {} ({} of 100)", _worst(rows, alarms, lambda rate: ~rate)),
        ("it gets the most types wrong in {} ({} of 100)", _worst(rows, "right_type", lambda rate: ~rate)),
    ]
    told = [(words, *found) for words, found in worst if found]
    if not told:
        return None
    return Line(
        "Where it fails first",
        _sentence("; ".join(words.format(kind, of_100(rate.value)) for words, kind, rate in told)),
        " ".join(f"{kind}: {basis(rate)}." for _, kind, rate in told),
    )


def _worst(rows: list[Mapping], name: str, errors: Callable[[Rate], Rate]) -> tuple[str, Rate] | None:
    """The kind of scan with the largest share of errors; None where there are fewer than two, or no errors."""
    rates = [(_kind(row), errors(rate)) for row in rows if (rate := mean_rate([row], name))]
    worst = max(rates, key=lambda item: item[1].value, default=None)
    return worst if len(rates) > 1 and worst[1].value > 0 else None


def _kind(row: Mapping) -> str:
    sequence = SEQUENCES.get(row["sequence"], row["sequence"])
    return f"{sequence} of {row['set']}" if sequence else row["set"]


def _told(parts: Mapping[str, Rate]) -> str:
    """The end of a sentence: a figure for each sequence, or nothing but the full stop."""
    told = [f"in {words} {of_100(rate.value)}" for words, rate in parts.items()]
    return f": {', '.join(told)}." if told else "."


def _bases(whole: Rate, parts: Mapping[str, Rate]) -> str:
    return " ".join([f"All: {basis(whole)}.", *(f"{words}: {basis(rate)}." for words, rate in parts.items())])


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."
