"""Checkpoints without pickle: tensors in safetensors, the rest in its JSON header; written aside, then renamed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kinfolk.errors import BundleError


def save_checkpoint(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write one file atomically; `meta` is JSON-able."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    # each tensor gets memory of its own: safetensors refuses tensors that share storage
    own = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    save_file(own, aside, metadata={"meta": json.dumps(meta)})
    os.replace(aside, path)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensors and meta of `save_checkpoint`; None where there is no file.

    Raises:
        BundleError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as f:
            meta = json.loads(f.metadata()["meta"])
            return {name: f.get_tensor(name) for name in f.keys()}, meta  # noqa: SIM118  # safe_open is not a dict
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as e:
        raise BundleError(f"{path}: the checkpoint is damaged ({e})", "delete it and train from the start") from e


def load_own(path: Path, run: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """As `load_checkpoint`, of the run that `run` (JSON-able, in the meta as "run") describes and no other.

    Raises:
        BundleError: the file is damaged or of another run.
    """
    found = load_checkpoint(path)
    if found is not None and found[1].get("run") != run:
        then = found[1].get("run") or {}
        changed = sorted(k for k in {*then, *run} if then.get(k) != run.get(k))
        raise BundleError(
            f"{path}: the checkpoint is of another run ({', '.join(changed)} differ)",
            "train with the same data and options, or without --resume",
        )
    return found


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of an optimiser as named tensors: `optimiser.<parameter number>.<name>`."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{i}.{name}": torch.as_tensor(v) for i, s in state.items() for name, v in s.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`, for an optimiser over the same parameters."""
    full = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": full["param_groups"]})


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def write_rows(path: Path, rows: list[dict[str, float]], **said: str) -> None:
    """Metrics so far as JSON lines, whole or not at all: a run that goes on repeats none. `said` is on every line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    aside.write_text("".join(json.dumps({**said, **row}) + "\n" for row in rows), encoding="utf-8")
    os.replace(aside, path)


class Checkpoint:
    """State of a training run after an epoch: model, optimiser, best weights so far, rows of metrics.

    Args:
        path: directory, or None to keep nothing.
        name: of the file in it.
        run: JSON-able description of the run; a checkpoint of another run is refused.
    """

    def __init__(
        self, path: Path | None, name: str, model: nn.Module, optimiser: torch.optim.Optimizer, run: dict[str, Any]
    ) -> None:
        self.file = None if path is None else path / f"{name}.safetensors"
        self.model, self.optimiser, self.run = model, optimiser, json.loads(json.dumps(run))

    def save(self, rows: list[dict[str, float]], best: tuple[float, dict[str, Tensor]] | None) -> None:
        """Write everything that the next epoch depends on."""
        if self.file is None:
            return
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser)
        tensors |= {} if best is None else {f"best.{k}": v for k, v in best[1].items()}
        save_checkpoint(self.file, tensors, {"run": self.run, "rows": rows, "best": None if best is None else best[0]})

    def resume(self) -> tuple[list[dict[str, float]], tuple[float, dict[str, Tensor]] | None]:
        """Restore model and optimiser in place; the rows so far and the best weights; ([], None) without a file.

        Raises:
            BundleError: the checkpoint is damaged or of another run.
        """
        found = None if self.file is None else load_own(self.file, self.run)
        if found is None:
            return [], None
        tensors, meta = found
        device = next(self.model.parameters()).device
        self.model.load_state_dict({k: v.to(device) for k, v in under(tensors, "model.").items()})
        restore_optimiser(self.optimiser, tensors)
        best = {k: v.to(device) for k, v in under(tensors, "best.").items()}
        return meta["rows"], None if meta["best"] is None else (meta["best"], best)
