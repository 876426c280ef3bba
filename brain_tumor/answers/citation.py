"""CITATION.cff -> how to cite, in a sentence and as BibTeX."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

FILE = Path(__file__).resolve().parents[2] / "CITATION.cff"

_TYPES = {"software": "software", "data": "dataset", "dataset": "dataset", "article": "article"}
"""Types of the Citation File Format -> entries of biblatex; others are "misc"."""


def read_citations(path: Path = FILE) -> list[Mapping]:
    """The work itself, then what it refers to, as the file has them; nothing where it is missing or damaged."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    if not isinstance(content, dict) or not {"title", "authors"} <= content.keys():
        return []
    return [content, *content.get("references", [])]


def sentence(work: Mapping) -> str:
    """A citation as plain text.

    >>> print(sentence({"title": "Slices", "authors": [{"family-names": "Doe", "given-names": "J."}], "doi": "10.1/2"}))
    J. Doe: Slices. https://doi.org/10.1/2
    """
    version = f", version {work['version']}" if "version" in work else ""
    year = f" ({_year(work)})" if _year(work) else ""
    return f"{', '.join(names_of(work))}: {work['title']}{version}{year}." + (f" {_link(work)}" if _link(work) else "")


def bibtex(work: Mapping) -> str:
    """A citation as an entry of biblatex.

    >>> print(bibtex({"title": "Slices", "authors": [{"name": "The makers of it"}], "type": "data", "version": "2.0"}))
    @dataset{slices,
      author = {{The makers of it}},
      title = {Slices},
      version = {2.0}
    }
    """
    authors = (
        f"{{{author['name']}}}"
        if "name" in author
        else ", ".join(author[part] for part in ("family-names", "given-names") if part in author)
        for author in work["authors"]
    )
    fields = {
        "author": " and ".join(authors),
        "title": work["title"],
        "version": work.get("version"),
        "year": _year(work),
        "doi": _doi(work),
        "url": None if _doi(work) else _link(work),
    }
    key = re.sub(r"[^a-z0-9]+", "-", work["title"].lower()).strip("-")
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@{_TYPES.get(work.get('type', 'software'), 'misc')}{{{key},\n{lines}\n}}"


def names_of(work: Mapping) -> list[str]:
    """Of its authors, persons with the given name first."""
    return [
        author.get("name") or " ".join(author[part] for part in ("given-names", "family-names") if part in author)
        for author in work["authors"]
    ]


def _year(work: Mapping) -> str:
    return str(work.get("date-released") or work.get("year") or "")[:4]


def _doi(work: Mapping) -> str:
    identifiers = work.get("identifiers", [])
    return work.get("doi") or next((one["value"] for one in identifiers if one.get("type") == "doi"), "")


def _link(work: Mapping) -> str:
    doi = _doi(work)
    return f"https://doi.org/{doi}" if doi else work.get("repository-code") or work.get("url") or ""
