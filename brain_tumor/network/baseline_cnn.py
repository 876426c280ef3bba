"""The small network that people start from: convolution, max-pooling, dropout and dense layers, trained from scratch.

A yardstick for transfer learning. This file is copied next to its checkpoints, so that
`pipeline("image-classification", model=..., trust_remote_code=True)` loads them without this package.
"""

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention


class BaselineCnnConfig(PretrainedConfig):
    """Settings of the baseline network.

    Args:
        image_size: height and width of the input in pixels.
        num_channels: channels of the input.
        hidden_sizes: channels of each convolution; each is followed by 2x2 max-pooling.
        dense_size: units of the dense layer.
        classifier_dropout_prob: dropout before and after the dense layer.
    """

    model_type = "brain_tumor_baseline_cnn"

    def __init__(
        self,
        image_size=224,
        num_channels=3,
        hidden_sizes=(16, 32, 64, 128),
        dense_size=128,
        classifier_dropout_prob=0.3,
        **kwargs,
    ):
        self.image_size = image_size
        self.num_channels = num_channels
        self.hidden_sizes = list(hidden_sizes)
        self.dense_size = dense_size
        self.classifier_dropout_prob = classifier_dropout_prob
        super().__init__(**kwargs)


class BaselineCnnForImageClassification(PreTrainedModel):
    """Convolution + ReLU + max-pooling blocks, 6x6 average pooling, a dense layer, dropout, and logits.

    The 6x6 pooling keeps the dense layer the same at every input size (640 px would need 100 million weights).
    """

    config_class = BaselineCnnConfig
    main_input_name = "pixel_values"

    def __init__(self, config: BaselineCnnConfig):
        super().__init__(config)
        channels = [config.num_channels, *config.hidden_sizes]
        blocks = []
        for before, after in zip(channels, channels[1:], strict=False):
            blocks += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(6), nn.Flatten())
        self.dense = nn.Sequential(
            nn.Dropout(config.classifier_dropout_prob),
            nn.Linear(config.hidden_sizes[-1] * 36, config.dense_size),
            nn.ReLU(),
            nn.Dropout(config.classifier_dropout_prob),
        )
        self.classifier = nn.Linear(config.dense_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs):
        """pixel_values (batch, channels, height, width) float -> logits (batch, classes)."""
        logits = self.classifier(self.dense(self.features(pixel_values)))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=logits)


AutoConfig.register(BaselineCnnConfig.model_type, BaselineCnnConfig, exist_ok=True)

AutoModelForImageClassification.register(BaselineCnnConfig, BaselineCnnForImageClassification, exist_ok=True)

BaselineCnnConfig.register_for_auto_class()

BaselineCnnForImageClassification.register_for_auto_class("AutoModelForImageClassification")
