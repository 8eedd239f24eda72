"""Who is asked for: `Question`, as a caller writes it, and `Asked`, as it is kept, with keys in place of user ids."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from kinfolk.errors import DataError, OptionError
from kinfolk.lookalike.activity import DEFAULT, Activity, check_activity
from kinfolk.lookalike.audience import Reach, check_choice
from kinfolk.online.checks import check_count, check_id, check_ids
from kinfolk.online.clicks import user_keys
from kinfolk.online.options import EngineSettings

U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Question:
    """An audience that is wanted.

    Args:
        seeds, candidate: exactly one: outside ids of users, or the candidate whose crowd it is.
        size, percent, min_score, reach: exactly one, as in `kinfolk.expand`.
        include_seeds: return seeds too, where they score high enough.
        exclude: outside ids never to return.
        activity: what clicking a lot counts for, as in `kinfolk.expand`.
        on_missing: "error" refuses seeds without an embedding, "ignore" counts them.
        name: the caller's own word for it.
    """

    seeds: Sequence[str] | None = None
    candidate: str | None = None
    size: int | None = None
    percent: float | None = None
    min_score: float | None = None
    reach: Reach | None = None
    include_seeds: bool = False
    exclude: Sequence[str] = ()
    activity: Activity = DEFAULT
    on_missing: Literal["ignore", "error"] = "ignore"
    name: str = ""

    def check(self, settings: EngineSettings) -> None:
        """Raises OptionError for contradictory or absent options, DataError for ids that are none."""
        check_choice(size=self.size, percent=self.percent, min_score=self.min_score, reach=self.reach)
        check_activity(self.activity)
        if (self.seeds is None) == (self.candidate is None):
            both = "both seeds and a candidate" if self.seeds is not None else "neither seeds nor a candidate"
            raise OptionError(f"{both} given", "give exactly one of seeds, candidate")
        if self.on_missing not in ("ignore", "error"):
            raise OptionError(f"on_missing is {self.on_missing!r}", "choose one of ignore, error")
        if len(self.name) > settings.max_id_length:
            raise OptionError(f"the name is {len(self.name)} characters long", f"give at most {settings.max_id_length}")
        for what, users in (("seeds", self.seeds), ("exclude", self.exclude)):
            if isinstance(users, str):
                raise OptionError(f"{what} is one text", "give a list of user ids")
            if users is not None:
                check_count(len(users), settings.max_question_seeds, what)
                check_ids(users, what, settings.max_id_length)
        if self.candidate is not None:
            check_id(self.candidate, "the candidate", settings.max_id_length)
            if self.on_missing == "error":
                raise OptionError("on_missing=error is for seed lists", "leave it out beside a candidate")


@dataclass(frozen=True)
class Asked:
    """A question as it is kept. seeds: uint64[S] distinct keys, or None beside a candidate. exclude: uint64[X] keys."""

    seeds: U64 | None
    candidate: str | None
    size: int | None
    percent: float | None
    min_score: float | None
    reach: Reach | None
    include_seeds: bool
    exclude: U64
    activity: Activity
    on_missing: str
    name: str

    @classmethod
    def of(cls, question: Question, secret: bytes) -> Asked:
        """With users as keys, repeated ones once."""
        return cls(
            None if question.seeds is None else np.unique(user_keys(secret, question.seeds)),
            question.candidate, question.size, question.percent, question.min_score, question.reach,
            question.include_seeds, np.unique(user_keys(secret, question.exclude)), question.activity,
            question.on_missing, question.name,
        )  # fmt: skip

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as base64 of little-endian 64-bit numbers."""
        return {
            **self._plain(),
            "seeds": None if self.seeds is None else _text(self.seeds),
            "exclude": _text(self.exclude),
        }

    def shown(self) -> dict[str, object]:
        """For answers: lengths instead of lists of users."""
        return {**self._plain(), "seeds": None if self.seeds is None else len(self.seeds), "exclude": len(self.exclude)}

    def _plain(self) -> dict[str, object]:
        names = (
            "candidate",
            "size",
            "percent",
            "min_score",
            "reach",
            "include_seeds",
            "activity",
            "on_missing",
            "name",
        )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Asked:
        """The inverse of `to_json`. Raises DataError for anything else."""
        try:
            seeds = None if data["seeds"] is None else _keys(data["seeds"])
            return cls(
                seeds,
                cast("str | None", data["candidate"]),
                cast("int | None", data["size"]),
                cast("float | None", data["percent"]),
                cast("float | None", data["min_score"]),
                cast("Reach | None", data["reach"]),
                bool(data["include_seeds"]),
                _keys(data["exclude"]),
                cast("Activity", data.get("activity", DEFAULT)),  # questions of before know none
                str(data["on_missing"]),
                str(data["name"]),
            )
        except (KeyError, ValueError, TypeError) as e:
            raise DataError(f"a stored question cannot be read ({type(e).__name__})", "ask it again") from e


def _text(keys: U64) -> str:
    return base64.b64encode(keys.astype("<u8").tobytes()).decode("ascii")


def _keys(text: object) -> U64:
    return np.frombuffer(base64.b64decode(str(text), validate=True), "<u8").astype(np.uint64)
