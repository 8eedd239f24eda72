"""What stage 1 hands on: `Represented`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinfolk.represent.encoder import EncoderConfig, UserEncoder
from kinfolk.represent.features import UserFeatures


@dataclass(frozen=True, eq=False)
class Represented:
    """A trained encoder with what it needs to read a log.

    Args:
        encoder: fields -> x_u.
        features: log -> fields.
        item_embeddings: float32[D, m], e_i of the item of rank r in row r (`features.item_ids[r]`).
        metrics: one row an epoch.
    """

    encoder: UserEncoder
    features: UserFeatures
    item_embeddings: NDArray[np.float32]
    metrics: list[dict[str, float]] = field(default_factory=list)

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(weights, JSON-able meta) to store beside `features.to_arrays()`; `from_tensors` is the inverse."""
        tensors = {f"encoder.{k}": v.detach().cpu() for k, v in self.encoder.state_dict().items()}
        tensors["item_embeddings"] = torch.from_numpy(self.item_embeddings)
        return tensors, {"encoder": asdict(self.encoder.config), "metrics": self.metrics}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], features: UserFeatures
    ) -> Represented:
        """The inverse of `to_tensors`."""
        config = EncoderConfig(**{**meta["encoder"], "hidden": tuple(meta["encoder"]["hidden"])})
        encoder = UserEncoder(features.schema, config, features.sizes)
        prefix = "encoder."
        encoder.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        return cls(encoder.eval(), features, tensors["item_embeddings"].numpy(), list(meta["metrics"]))
