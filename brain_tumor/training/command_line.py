"""The words after `train.py` -> `Arguments`: flags, or a JSON file of arguments and flags that override it."""

import argparse
import dataclasses
import difflib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, get_args, get_type_hints

from transformers import HfArgumentParser

from brain_tumor.training.arguments import Arguments, DataArguments, ModelArguments, UsageError

OFTEN_USED = {
    "Model": [field.name for field in dataclasses.fields(ModelArguments)],
    "Data": [field.name for field in dataclasses.fields(DataArguments)],
    "Training": [
        "output_dir",
        "num_train_epochs",
        "per_device_train_batch_size",
        "learning_rate",
        "early_stopping_patience",
        "seed",
        "bf16",
        "dataloader_num_workers",
        "report_to",
        "resume_from_checkpoint",
        "overwrite",
    ],
    "Hub": ["push_to_hub", "hub_model_id", "hub_private_repo", "push_only"],
}
"""Group -> the arguments that `--help` shows; `--help_all` shows all of them."""

USAGE = "python train.py [RECIPE.json] [--FLAG VALUE ...]"


def parse_arguments(words: Sequence[str], description: str) -> Arguments:
    """Read a command line; `--help` and `--help_all` print what they promise and exit.

    Args:
        words: after the program's name. The first may be a JSON file of arguments, which later flags override.
        description: of the program, one line.

    Raises:
        UsageError: an unknown flag or key, a wrong value, a JSON file that cannot be read.
    """
    parser = _Parser(
        Arguments.__annotations__.values(), usage=USAGE, description=description, allow_abbrev=False, add_help=False
    )
    if {"-h", "--help"} & set(words):
        print(parser.format_short_help())
        sys.exit(0)
    if "--help_all" in words:
        parser.print_help()
        sys.exit(0)
    recipe = []
    if words and not words[0].startswith("-"):
        recipe, words = parser.read_json(Path(words[0])), words[1:]
    try:
        return Arguments(*parser.parse_args_into_dataclasses([*recipe, *words], look_for_args_file=False))
    except UsageError:
        raise
    except Exception as error:  # `TrainingArguments` itself raises nearly anything
        raise UsageError(" ".join(str(error).split()).rstrip(".") + ".") from error


class _Parser(HfArgumentParser):
    """`HfArgumentParser` whose errors are `UsageError`s, also for what no argument is."""

    def error(self, message: str) -> NoReturn:
        # argparse writes "argument --image_size/--image-size: invalid int value: 'x'".
        raise UsageError(
            re.sub(r"^argument (--\w+)\S*:", r"\1:", message).rstrip(".") + ". python train.py --help lists the flags."
        )

    def parse_known_args(self, args=None, namespace=None):
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown and not unknown[0].startswith("-"):
            raise UsageError(
                f"{unknown[0]!r} belongs to no flag; a recipe comes first. python train.py --help lists the flags."
            )
        if unknown:
            flag = unknown[0].partition("=")[0]
            near = self._nearest(flag, [*self._option_string_actions, "--help_all"])
            raise UsageError(f"{flag} is no flag of train.py{near}. python train.py --help lists the flags.")
        return namespace, unknown

    @staticmethod
    def _nearest(name: str, known: Sequence[str]) -> str:
        found = difflib.get_close_matches(name, known, n=1)
        return f"; the nearest one is {found[0]}" if found else ""

    def format_short_help(self) -> str:
        """The arguments that people change, one a line, at most 100 columns wide."""
        actions = {action.dest: action for action in reversed(self._actions)}  # without the --no_ of the same name
        width = max(len(name) for names in OFTEN_USED.values() for name in names) + len("--")
        lines = [f"usage: {USAGE}", "", self.description]
        for group, names in OFTEN_USED.items():
            lines += ["", f"{group}:"]
            for name in names:
                what = actions[name].help.partition(". ")[0].rstrip(".")
                default = actions[name].default
                if isinstance(default, list):
                    default = " ".join(default) or None
                shown = "" if default is None or default is False else f" [{'on' if default is True else default}]"
                lines.append(f"  {'--' + name:<{width}}  {what}{shown}")
        lines += ["", "In brackets: the default. --no_NAME turns off what is on, as in --no_familiarity."]
        lines += ["RECIPE.json holds arguments by these names, without the dashes; flags after it override them."]
        return "\n".join([*lines, "--help_all shows the other flags, those of transformers.TrainingArguments."])

    def read_json(self, path: Path) -> list[str]:
        """The arguments in a JSON file, as the words of a command line; null is for those that may have no value."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read as a JSON file of arguments ({error.strerror}). Flags begin with --."
            ) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is not JSON: {error}.") from error
        if not isinstance(values, dict):
            raise UsageError(f'{path} must hold one JSON object, such as {{"num_train_epochs": 3}}.')
        actions = {action.dest: action for action in reversed(self._actions)}
        hints = {name: hint for kind in self.dataclass_types for name, hint in get_type_hints(kind).items()}
        words, about = [], {}
        for name, value in values.items():
            if name not in actions:
                raise UsageError(f"{path}: {name} is no argument of train.py{self._nearest(name, list(actions))}.")
            if value is None and type(None) in get_args(hints[name]):
                self.set_defaults(**{name: None})
                continue
            try:
                words += _words_of(actions[name], value)
                if name in ("dataset_name", "other_pictures") and isinstance(value, list):
                    about |= {item["name"]: item for item in value if isinstance(item, dict) and "name" in item}
                    words += [f"--about_sets={json.dumps(about)}"] if about else []
                self.parse_known_args(words)
            except UsageError as error:
                reason = str(error).removeprefix("--").removesuffix(" python train.py --help lists the flags.")
                raise UsageError(f"{path}: {reason}") from error
        return words


def _words_of(action: argparse.Action, value) -> list[str]:
    flag, is_text = action.option_strings[0], action.type is str
    if action.nargs in ("+", "*") and isinstance(value, list | str):
        return [flag, *map(_name_in, [value] if isinstance(value, str) else value)]
    if value is True and action.nargs == "?":
        return [flag]
    if isinstance(value, dict) and is_text and flag.endswith(("_kwargs", "_config")):
        return [f"{flag}={json.dumps(value)}"]
    if value is None or isinstance(value, list | dict) or (is_text and not isinstance(value, str)):
        raise UsageError(f"{flag}: expected {'a text' if is_text else 'one value'}, found {json.dumps(value)}.")
    return [f"{flag}={value}"]


def _name_in(item) -> str:
    """An item of a list as a word; of {"name": ..., ...}, which says more about it for a reader, the name."""
    return str(item["name"] if isinstance(item, dict) and "name" in item else item)
