"""What is compared, by name: `names(group, protocol)` and `make(name, seed, ...)`; a method's module is imported when
it is made.

To add a method: write a class with the interface of `method.py` whose constructor takes `name` and `seed` by keyword,
plus what its row gives in `options` and asks for in `needs`; then add a row to `ROWS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from kinfolk.baselines.method import Method
from kinfolk.baselines.shared import Shared
from kinfolk.errors import OptionError

Protocol = Literal["new-item", "feed", "table1"]
NEW_ITEM: tuple[Protocol, ...] = ("new-item",)
FEED: tuple[Protocol, ...] = ("feed",)
TABLE1: tuple[Protocol, ...] = ("table1",)
BOTH: tuple[Protocol, ...] = ("new-item", "feed")
EVERY: tuple[Protocol, ...] = ("new-item", "feed", "table1")

GROUPS = ("all", "none", "opponents", "table1", "quick")
"""`opponents`: those of the gates and of the feed; `table1`: those of the paper; `quick`: seconds, not minutes."""


@dataclass(frozen=True)
class Row:
    """Args:
    target: "module:Class".
    options: keyword arguments of the class, beside name and seed.
    needs: what the class takes from the run, by keyword: "window" (seconds, who counts as active lately), "tau"
        (seconds, decay of recency), "shared" (fits that methods have in common).
    protocols: where the method makes sense.
    groups: the groups it belongs to, beside "all".
    """

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    protocols: tuple[Protocol, ...] = BOTH
    groups: tuple[str, ...] = ()


_HERE = "kinfolk.baselines."
_COSINE, _LDA = _HERE + "cosine:Cosine", _HERE + "discriminant:Discriminant"
_LR, _YAHOO = _HERE + "logistic:Logistic", _HERE + "yahoo_lookalike:YahooLookalike"
_RALM = _HERE + "ralm:Ralm"

ROWS: dict[str, Row] = {
    "random": Row(_HERE + "popularity:Random", protocols=EVERY, groups=("quick",)),
    "activity": Row(_HERE + "activity:Activity", protocols=NEW_ITEM, groups=("quick",)),
    "recent_activity": Row(_HERE + "activity:RecentActivity", needs=("window",), protocols=NEW_ITEM, groups=("quick",)),
    "popularity": Row(_HERE + "popularity:Popularity", protocols=EVERY, groups=("quick",)),
    "recency_popularity": Row(
        _HERE + "popularity:RecencyPopularity", needs=("tau",), protocols=FEED, groups=("opponents", "quick")
    ),
    "trend": Row(_HERE + "popularity:Trend", {}, ("shared", "tau"), FEED, ("opponents",)),
    "newest": Row(_HERE + "popularity:Newest", protocols=FEED, groups=("opponents", "quick")),
    "als_mean_cosine": Row(_COSINE, {"vectors": "als"}, ("shared",), EVERY, ("quick",)),
    "als_max_cosine": Row(_COSINE, {"vectors": "als", "pool": "max"}, ("shared",)),
    "als_top5_cosine": Row(_COSINE, {"vectors": "als", "pool": "top5"}, ("shared",)),
    "als_lse_cosine": Row(_COSINE, {"vectors": "als", "pool": "lse"}, ("shared",)),
    "svd_mean_cosine": Row(_COSINE, {"vectors": "svd"}, ("shared",)),
    "als_mean_cosine_z_log_recency": Row(
        _HERE + "cosine:CosineLogRecency", {"vectors": "als"}, ("shared", "tau"), FEED, ("opponents",)
    ),
    "als_mean_cosine_z_trend": Row(
        _HERE + "cosine:CosineLogRecency", {"vectors": "als", "trend": True}, ("shared", "tau"), FEED, ("opponents",)
    ),
    "als_lda": Row(_LDA, {"vectors": "als"}, ("shared",), BOTH, ("opponents", "quick")),
    "svd_lda": Row(_LDA, {"vectors": "svd"}, ("shared",)),
    "als_lda_log_recency": Row(_LDA, {"vectors": "als", "log_recency": True}, ("shared", "tau"), FEED, ("opponents",)),
    "als_lda_trend": Row(_LDA, {"vectors": "als", "trend": True}, ("shared", "tau"), FEED, ("opponents",)),
    "als_fold_in": Row(_HERE + "fold_in:FoldIn", {}, ("shared",), BOTH, ("opponents", "quick")),
    "als_fold_in_dot": Row(_HERE + "fold_in:FoldIn", {"cosine": False}, ("shared",)),
    "item_knn": Row(_HERE + "item_knn:ItemKnn", {}, ("shared",)),
    "item_knn_fresh": Row(_HERE + "item_knn:FreshItemKnn", groups=("opponents", "quick")),
    "lr_als": Row(_LR, {"blocks": {"als": 2.0}}, ("shared", "window"), NEW_ITEM, ("opponents",)),
    "lr_fields": Row(_LR, {"blocks": {"fields": 1.0}, "inverse_penalty": 0.3}, ("shared", "window"), NEW_ITEM),
    "lr_fields_history": Row(
        _LR, {"blocks": {"fields": 0.5, "history": 2.0}}, ("shared", "window"), NEW_ITEM, ("opponents",)
    ),
    "lr_als_fields_activity": Row(
        _LR, {"blocks": {"als": 2.0, "activity": 1.0, "fields": 0.5}}, ("shared", "window"), NEW_ITEM, ("opponents",)
    ),
    "gbm_als_fields_activity": Row(_HERE + "gbm:Gbm", {}, ("shared", "window"), NEW_ITEM),
    # on user features
    "lr": Row(_HERE + "logistic_regression:LogisticRegression", {}, ("shared",), EVERY, ("table1",)),
    "yahoo_lookalike": Row(_YAHOO, {}, ("shared",), EVERY, ("table1",)),
    "yahoo_lookalike_probability": Row(_YAHOO, {"positive_filter": "probability"}, ("shared",), EVERY),
    "ralm": Row(_RALM, {"preset": "paper"}, ("shared",), EVERY, ("table1",)),
    "ralm_average": Row(_RALM, {"preset": "paper", "pooling": "average"}, ("shared",), EVERY, ("table1",)),
    "youtube_dnn": Row(_HERE + "youtube_dnn:YoutubeDnn", {}, ("shared",), TABLE1, ("table1",)),
    "dnn_mean_cosine": Row(_COSINE, {"vectors": "dnn"}, ("shared",), EVERY),
    "dnn_lda": Row(_LDA, {"vectors": "dnn"}, ("shared",), BOTH, ("opponents",)),
    "tag_rules": Row(_HERE + "tag_rules:TagRules", {}, ("shared",), EVERY, ("quick",)),
    "jaccard": Row(_HERE + "jaccard:Jaccard", {}, ("shared",), EVERY, ("quick",)),
    "jaccard_max": Row(_HERE + "jaccard:Jaccard", {"pool": "max"}, ("shared",), EVERY),
    "cluster_nearest": Row(_HERE + "cluster_nearest:ClusterNearest", {}, ("shared",), EVERY, ("quick",)),
    "lsh_nearest": Row(_HERE + "lsh_nearest:LshNearest", {}, ("shared",), EVERY, ("quick",)),
    "fm": Row(_HERE + "factorization_machine:FactorizationMachine", {}, ("shared",), EVERY),
    "mlp": Row(_HERE + "mlp_classifier:MlpClassifier", {}, ("shared",), EVERY),
    "gradient_boosting": Row(_HERE + "gradient_boosting:GradientBoosting", {}, ("shared",), EVERY),
    "label_propagation": Row(_HERE + "label_propagation:LabelPropagation", {}, ("shared",), EVERY),
}


def names(group: str = "all", protocol: Protocol | None = None) -> list[str]:
    """Names of a group, in the registry's order; with `protocol`, only of the methods that make sense in it.

    Raises:
        OptionError: no such group.
    """
    if group not in GROUPS:
        raise OptionError(f"no group of baselines is called {group!r}", f"use one of {', '.join(GROUPS)}")
    return [
        name
        for name, row in ROWS.items()
        if (group == "all" or group in row.groups) and (protocol is None or protocol in row.protocols)
    ]


def resolve(wanted: Iterable[str], protocol: Protocol | None = None) -> list[str]:
    """Distinct names for a list that mixes names and groups, in the order asked for.

    Raises:
        OptionError: an unknown name, or a name that makes no sense in `protocol`.
    """
    out: dict[str, None] = {}
    for name in wanted:
        if name in GROUPS:
            out.update(dict.fromkeys(names(name, protocol)))
            continue
        row = _row(name)
        if protocol is not None and protocol not in row.protocols:
            raise OptionError(
                f"baseline {name!r} makes no sense in the {protocol} protocol",
                f"leave it out, or use one of {', '.join(names('all', protocol))}",
            )
        out[name] = None
    return list(out)


def make(
    name: str, seed: int, *, window: float = 86400.0, tau: float = 10800.0, shared: Shared | None = None
) -> Method:
    """A new, unfitted method.

    Args:
        name: as in `names()`.
        seed: of everything drawn at random in `fit`.
        window: seconds; a user with an event in the last `window` is active (the protocol's W).
        tau: seconds; a click counts exp(-age / tau) in recency popularity.
        shared: give the same one to all methods of a run, so that what they have in common is fitted once.

    Raises:
        OptionError: no such name, or a library of an optional extra is missing.
    """
    row = _row(name)
    module, _, attribute = row.target.partition(":")
    offered: dict[str, Any] = {"window": window, "tau": tau, "shared": Shared() if shared is None else shared}
    factory = getattr(importlib.import_module(module), attribute)
    return cast(Method, factory(name=name, seed=seed, **row.options, **{need: offered[need] for need in row.needs}))


def _row(name: str) -> Row:
    if name not in ROWS:
        raise OptionError(
            f"no baseline is called {name!r}", f"use one of {', '.join(ROWS)}, or a group: {', '.join(GROUPS)}"
        )
    return ROWS[name]
