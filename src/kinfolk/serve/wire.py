"""What is sent, but for clicks: pydantic models with examples and limits. Times are ms since 1970 UTC."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

LONGEST_ID = 256
LARGEST_META = 16_384

Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, examples=["a7"])]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Ms = Annotated[int, Field(ge=0, le=2**53, examples=[1_700_000_000_000])]


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError unless it can be stored and given back as JSON."""
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, RecursionError) as e:
        raise ValueError("expected plain JSON, all numbers finite and all text UTF-8") from e
    if size > LARGEST_META:
        raise ValueError(f"{size} bytes as JSON, at most {LARGEST_META} are kept")
    return value


Meta = Annotated[dict[str, Any], AfterValidator(_plain)]


class Asked(BaseModel):
    """Of what is sent: unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class CandidateIn(Asked):
    """meta: whatever you like to have given back."""

    meta: Meta = Field(default_factory=dict, examples=[{"title": "Ten books", "topic": "culture"}])
    expires_at: Ms | None = None


class SeedsIn(Asked):
    """Users who are the crowd of a candidate."""

    users: list[Id] = Field(min_length=1, examples=[["u1", "u2"]])


class RankItem(Asked):
    """An item and the click rate that the caller predicts."""

    id: Id
    pctr: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, examples=[0.03])]


class RankIn(Asked):
    """lam: λ of final = pctr · (1 + λ · score); absent: the server's setting."""

    user: Id
    items: list[RankItem] = Field(min_length=1)
    lam: Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)] | None = None
    explain: bool = False


class QuestionIn(Asked):
    """Exactly one of seeds and candidate; exactly one of size, percent, min_score and reach."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"candidate": "a7", "percent": 1.0}, {"seeds": ["u1", "u2"], "size": 1000}]},
    )

    seeds: list[Id] | None = None
    candidate: Id | None = None
    size: Annotated[int, Field(ge=1, le=2**31)] | None = None
    percent: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    min_score: Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)] | None = None
    reach: Literal["narrow", "balanced", "broad"] | None = None
    include_seeds: bool = False
    exclude: list[Id] = Field(default_factory=list)
    activity: Literal["interest", "reach"] = Field(
        "interest", description="What it counts for that a user clicks a lot: nothing, or something."
    )
    on_missing: Literal["ignore", "error"] = "ignore"
    name: Annotated[str, Field(max_length=LONGEST_ID)] = ""

    @model_validator(mode="after")
    def _one_of(self) -> QuestionIn:
        if (self.seeds is None) == (self.candidate is None):
            raise ValueError("give exactly one of seeds, candidate")
        how = [n for n in ("size", "percent", "min_score", "reach") if getattr(self, n) is not None]
        if len(how) != 1:
            raise ValueError("give exactly one of size, percent, min_score, reach")
        return self


class UserIn(Asked):
    """features: field -> value, of the fields that the model was trained with; a list for a multivalent one."""

    features: dict[str, str | Finite | list[str] | None] = Field(
        default_factory=dict, max_length=1000, examples=[{"city": "Rome", "age": 31}]
    )
    history: list[Id] = Field(default_factory=list, max_length=1000, description="Items consumed, oldest first.")


class BundleIn(Asked):
    """path: of a folder on the server, below its bundle_root."""

    path: str = Field(min_length=1, max_length=4096, examples=["bundles/monday"])


class KeyIn(Asked):
    """per_second: requests it may send, 0 for any number."""

    name: Id
    role: Literal["reader", "writer", "admin"]
    per_second: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0
