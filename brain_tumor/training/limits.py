"""Which values of `transformers.TrainingArguments` make sense here, where that is known without trying."""

import json
import math


class UsageError(ValueError):
    """Arguments that make no sense. The message says what to pass."""


_LEAST = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "eval_accumulation_steps": 1,
    "torch_empty_cache_steps": 1,
    "save_total_limit": 1,
    "dataloader_num_workers": 0,
    "dataloader_prefetch_factor": 1,
    "early_stopping_patience": 0,
    "learning_rate": 0,
    "weight_decay": 0,
    "warmup_steps": 0,
    "max_grad_norm": 0,
    "adam_epsilon": 0,
    "label_smoothing_factor": 0,
    "eval_delay": 0,
    "ddp_timeout": 1,
    "seed": 0,
    "data_seed": 0,
}
"""Argument -> the least that makes sense; of what is larger, `rehearsal` finds out whether it works."""

_BELOW = {"seed": 2**32, "data_seed": 2**32, "label_smoothing_factor": 1}
"""Argument -> what it must be less than; a seed is one of numpy's."""

_JSON = (
    "accelerator_config",
    "activation_checkpointing_kwargs",
    "deepspeed",
    "fsdp_config",
    "gradient_checkpointing_kwargs",
    "lr_scheduler_kwargs",
)
"""Arguments that `transformers` reads as JSON where they begin with a brace."""

_AS_IT_IS = {
    "batch_eval_metrics": False,
    "dataloader_drop_last": False,
    "eval_do_concat_batches": True,
    "prediction_loss_only": False,
    "remove_unused_columns": False,
}
"""Arguments that cannot be changed here: slices are prepared on demand, and figures are of all of them."""


def check_values(args) -> None:
    """Raise UsageError for the first argument whose value makes no sense.

    Args:
        args: a `TrainingArguments` whose own `__post_init__` has not run yet.
    """
    for name, least in _LEAST.items():
        value, below = getattr(args, name), _BELOW.get(name, math.inf)
        if value is not None and not least <= value < below:
            most = f", and less than {below}" if name in _BELOW else ""
            raise UsageError(f"--{name} {value} must be {least} or more{most}.")
    for name, value in _AS_IT_IS.items():
        if getattr(args, name) != value:
            raise UsageError(f"--{name} cannot be changed in this training. Leave it out.")
    for name in _JSON:
        if str(value := getattr(args, name) or "").startswith("{") and isinstance(value, str):
            try:
                json.loads(value)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"--{name} is not JSON: {error}.") from error
