"""Both stages taught by episodes, end to end: `train_episodes` (decision 5).

Stage 2 starts as the cosine to the seeds' mean around the crowd's centre, on the vectors that stage 1 learned; then
encoder, transform and attentions go down the gradient of one loss: for every question, how often somebody who came next
stands below somebody who was on line and did not (pairwise logistic loss, a smooth bound of 1 - AUC). Seeds are
clustered anew at every step. The episodic training of Snell et al., "Prototypical Networks for Few-shot Learning",
NeurIPS 2017, with RALM's crowds in place of prototypes.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from kinfolk.lookalike.clusters_many import kmeans_many
from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.lookalike.episodes import Episode, Episodes
from kinfolk.lookalike.model import LookalikeModel
from kinfolk.nn.checkpoint import (
    load_own,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
    under,
    write_rows,
)
from kinfolk.nn.row_adam import RowAdam
from kinfolk.represent.embed import embed
from kinfolk.represent.represented import Represented

_CENTRED_ON = 4000  # users whose mean vector is the start of the centre


def train_episodes(
    learned: Represented,
    episodes: Episodes,
    model_config: LookalikeConfig,
    *,
    seed: int,
    device: str = "cpu",
    on_progress: Callable[[dict[str, float]], None] | None = None,
    metrics_path: Path | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> tuple[Represented, LookalikeModel, list[dict[str, float]]]:
    """Teach stage 2, and stage 1 further; `learned` itself stays as it is.

    Repeats bit for bit on one CPU with the same seed.

    Args:
        learned: stage 1.
        episodes: of everything that may be learned from.
        model_config: of stage 2; its m is the encoder's.
        on_progress: called every few steps with epoch, step, steps, loss, samples_per_second (users embedded).
        metrics_path: JSON lines, one a round of `config.round` steps.
        checkpoint: directory, written after every round; with `resume` training goes on from it.

    Returns:
        stage 1 and stage 2 after the last step, and a row a round: loss of training, and validation_auc, the mean AUC
        over episodes of items that were held out here (stage 1 has met them: it shows progress, no more).

    Raises:
        DataError: nobody can be told from an item's clickers.
        BundleError: the checkpoint is damaged or of another run.
    """
    run, config = _Run(learned, episodes, model_config, seed, device), episodes.config
    file = None if checkpoint is None else checkpoint / "episodes.safetensors"
    rows = run.resume(file) if resume and file is not None else []
    with torch.random.fork_rng(devices=[]):
        while len(rows) * config.round < config.steps:
            rows.append(run.round(len(rows), on_progress))
            if metrics_path is not None:
                write_rows(metrics_path, rows, stage="lookalike")
            if file is not None:
                run.save(file, rows)
    encoder = run.encoder.cpu().eval()
    return replace(learned, encoder=encoder), run.model.cpu().eval(), rows


class _Run:
    def __init__(
        self,
        learned: Represented,
        episodes: Episodes,
        model_config: LookalikeConfig,
        seed: int,
        device: str,
    ) -> None:
        self.view, self.config = episodes.view, episodes.config
        self.seed, self.device = seed, torch.device(device)
        self.features, self.learned = learned.features, _digest(learned)
        self.encoder = copy.deepcopy(learned.encoder).to(self.device).requires_grad_(True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shape = replace(model_config, m=self.encoder.config.embedding_size)
            self.model = LookalikeModel(shape).to(self.device)
        self.model.bias.requires_grad_(False)  # a loss of differences does not see it: `blend.learn_weight` does
        if shape.start == "average":
            self.model.centre(torch.from_numpy(self._some_users(learned)).to(self.device))
        tables = [] if self.encoder.fields is None else [self.encoder.fields.weight]
        dense = [p for p in self._parameters() if not any(p is t for t in tables)]
        self.adam = torch.optim.Adam(dense, lr=self.config.lr)
        self.row_adam = RowAdam(tables, lr=self.config.table_lr)
        self.train_on, self.held_out = split_items(episodes, seed)

    def round(self, number: int, on_progress: Callable[[dict[str, float]], None] | None) -> dict[str, float]:
        """`config.round` steps; returns their row of metrics."""
        c = self.config
        self.encoder.train()
        self.model.train()
        began, users, losses = perf_counter(), 0, 0.0
        first, last = number * c.round, min((number + 1) * c.round, c.steps)
        for step in range(first, last):
            rng = np.random.default_rng([self.seed, 7, step])
            torch.manual_seed(int(rng.integers(2**62)))
            pace = min(1.0, (c.steps - step) / (c.cooling * c.steps))
            self.row_adam.lr = c.table_lr * pace
            for group in self.adam.param_groups:
                group["lr"] = c.lr * pace
            batch = [self.train_on.draw(rng) for _ in range(c.batch_size)]
            loss = torch.stack([_ranking_loss(*s) for s in self.scores(batch, step)]).mean()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation is missing
            self.row_adam.step()
            self.adam.step()
            self.row_adam.zero_grad()
            self.adam.zero_grad()
            users += sum(len(_users(e)) for e in batch)
            losses += float(loss.detach())
            if on_progress and (step % 10 == 0 or step == last - 1):
                at = {"epoch": 0, "step": step + 1, "steps": c.steps, "loss": losses / (step + 1 - first)}
                on_progress({**at, "samples_per_second": users / (perf_counter() - began)})
        return {"epoch": number + 1.0, "loss": losses / (last - first), "validation_auc": self.judge()}

    @torch.no_grad()
    def judge(self) -> float:
        """Mean AUC over the same episodes of held-out items every time."""
        self.encoder.eval()
        self.model.eval()
        rng = np.random.default_rng([self.seed, 8])
        aucs = []
        for _ in range(0, self.config.validated, self.config.batch_size):
            batch = [self.held_out.draw(rng) for _ in range(self.config.batch_size)]
            for own, others in self.scores(batch, 0):
                above = own[:, None] - others
                aucs.append(float(((above > 0).float() + 0.5 * (above == 0).float()).mean()))
        return float(np.mean(aucs))

    def scores(self, batch: list[Episode], step: int) -> list[tuple[Float[Tensor, p], Float[Tensor, q]]]:
        """Logits of each episode's positives and negatives."""
        lengths = [len(_users(e)) for e in batch]
        read = self.features.batch(
            self.view,
            np.concatenate([_users(e) for e in batch]),
            np.repeat([e.now for e in batch], lengths),
            np.repeat([e.item for e in batch], lengths).astype(np.int32),
        )
        E = self.model.transform(self.encoder(read.to(self.device)))
        parts = [
            torch.split(part, [len(e.seeds), len(e.positives), len(e.negatives)])
            for e, part in zip(batch, torch.split(E, lengths), strict=True)
        ]
        clusters, sizes = self._crowds([seeds for seeds, _, _ in parts], step)
        out = []
        for i, (_, own, others) in enumerate(parts):
            found = self.model.score(clusters[i : i + 1], sizes[i : i + 1], torch.cat([own, others]))[0]
            logits = self.model.logit(found)
            out.append((logits[: len(own)], logits[len(own) :]))
        return out

    def _crowds(self, seeds: list[Tensor], step: int) -> tuple[Float[Tensor, "c k h"], Float[Tensor, "c k"]]:
        """Means of the seeds' clusters, with gradient, and their sizes."""
        k, every = self.model.config.k, torch.cat(seeds)
        offsets = np.concatenate([[0], np.cumsum([len(s) for s in seeds])]).astype(np.int64)
        points = every.detach().cpu().numpy()
        found = kmeans_many(points, offsets, k, seed=step, iterations=self.config.kmeans_iterations, threads=1)
        cell = torch.from_numpy(np.repeat(np.arange(len(seeds)) * k, np.diff(offsets)) + found.assignment)
        sizes = torch.from_numpy(found.sizes.astype(np.float32)).to(self.device)
        sums = torch.zeros(len(seeds) * k, every.shape[1], device=self.device).index_add(0, cell.to(self.device), every)
        return (sums / sizes.view(-1, 1).clamp_min(1.0)).view(len(seeds), k, -1), sizes

    def save(self, path: Path, rows: list[dict[str, float]]) -> None:
        """Everything the next round depends on."""
        tensors = {f"encoder.{k}": v for k, v in self.encoder.state_dict().items()}
        tensors |= {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"row_adam.{k}": v for k, v in self.row_adam.state().items()}
        save_checkpoint(path, tensors | optimiser_tensors(self.adam), {"run": self._identity(), "rows": rows})

    def resume(self, path: Path) -> list[dict[str, float]]:
        """Take up what `save` wrote; its rows, none where there is no file."""
        found = load_own(path, self._identity())
        if found is None:
            return []
        tensors, meta = found
        self.encoder.load_state_dict(under(tensors, "encoder."))
        self.model.load_state_dict(under(tensors, "model."))
        self.row_adam.load_state(under(tensors, "row_adam."))
        restore_optimiser(self.adam, tensors)
        rows: list[dict[str, float]] = meta["rows"]
        return rows

    def _parameters(self) -> list[nn.Parameter]:
        return [p for m in (self.encoder, self.model) for p in m.parameters() if p.requires_grad]

    def _some_users(self, learned: Represented) -> NDArray[np.float32]:
        users = np.unique(self.view.pairs.user)
        some = np.random.default_rng([self.seed, 9]).permutation(users)[:_CENTRED_ON]
        return embed(learned, self.view, np.sort(some))

    def _identity(self) -> dict[str, object]:
        data = {"log": self.view.log.name, "now": self.view.now, "removed": self.view.removed.tolist()}
        chosen = {"seed": self.seed, "episodes": asdict(self.config), "model": asdict(self.model.config)}
        found: dict[str, object] = json.loads(json.dumps({**data, **chosen, "learned": self.learned}))
        return found


def _digest(learned: Represented) -> str:
    """Which stage 1 this is."""
    found = hashlib.sha256()
    for name, tensor in learned.encoder.state_dict().items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().numpy().tobytes())
    return found.hexdigest()


def _users(episode: Episode) -> NDArray[np.int32]:
    return np.concatenate([episode.seeds, episode.positives, episode.negatives])


def _ranking_loss(own: Float[Tensor, p], others: Float[Tensor, q]) -> Float[Tensor, ""]:
    return nn.functional.softplus(others - own[:, None]).mean()


def split_items(every: Episodes, seed: int) -> tuple[Episodes, Episodes]:
    """Episodes to learn from and of the items held out; the same where there are too few items to hold one out."""
    held = np.random.default_rng([seed, 5]).permutation(every.item)[: round(len(every.item) * every.config.validation)]
    if len(held) in (0, len(every.item)):
        return every, every
    return every.only(np.setdiff1d(every.item, held)), every.only(held)
