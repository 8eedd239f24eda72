"""What training hands on: a directory with schema, weights, user embeddings, and what the model has seen.

JSON, safetensors and plain .npy arrays, each with its hash in `bundle.json`, which holds one of itself too. No pickle
anywhere: to read one from elsewhere could run code. Written aside and renamed, so that a bundle is whole or not there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from kinfolk.bundle.files import (
    META,
    RESTORE,
    hashes_checked,
    packed,
    read_array,
    read_arrays,
    read_matrix,
    read_packed,
    sha256,
    size_of,
)
from kinfolk.bundle.meta import need, need_fields, own_hash, read_meta
from kinfolk.bundle.place import place, swap
from kinfolk.data.inputs import Inputs
from kinfolk.data.jagged import Jagged
from kinfolk.data.npy import write_npy
from kinfolk.data.vocabulary import rows_of
from kinfolk.errors import BundleError, OptionError, SchemaError
from kinfolk.lookalike.config import LookalikeConfig
from kinfolk.lookalike.weights import Weights
from kinfolk.schema import Schema

if TYPE_CHECKING:
    from kinfolk.represent.represented import Represented

FORMAT = 2
_WEIGHTS, _FEATURES, _USERS = "weights.safetensors", "features.safetensors", "users.safetensors"
_UNIVERSAL, _LOOKALIKE = "universal.npy", "lookalike.npy"
_READ = (_WEIGHTS, _FEATURES, _USERS, _UNIVERSAL, _LOOKALIKE)


@dataclass(frozen=True)
class Provenance:
    """What a model was made of.

    Args:
        data: name of the data set.
        preset: name of the preset.
        seed: of training.
        trained_until: seconds since 1970 UTC; the model has seen no event at or after it.
        removed_items: outside ids of items that were removed from everything the model saw.
        windows: seeds_from, samples_from and until of stage 2.
        metrics: rows of both stages' training, for reports.
    """

    data: str
    preset: str
    seed: int
    trained_until: float
    removed_items: tuple[str, ...] = ()
    windows: tuple[float, float, float] = (0.0, 0.0, 0.0)
    metrics: Mapping[str, list[dict[str, float]]] = field(default_factory=dict)


class Bundle:
    """A trained model with the embeddings of all its users.

    Args:
        provenance: what it was made of.
        weights: stage 2, as plain arrays.
        user_ids: str[N] outside ids.
        universal: float32[N, m], x_u; may be memory-mapped.
        lookalike: float32[N, h], E_u; may be memory-mapped.
        represented: stage 1; when loaded, read from `path` the first time it is asked for.
        inputs: what stage 1 read of every user, for embedding them anew with later clicks; may be memory-mapped. None:
            users keep the embeddings they have.
    """

    def __init__(
        self,
        provenance: Provenance,
        weights: Weights,
        user_ids: NDArray[np.str_],
        universal: NDArray[np.float32],
        lookalike: NDArray[np.float32],
        represented: Represented | None = None,
        path: Path | None = None,
        version: str = "unsaved",
        inputs: Inputs | None = None,
    ) -> None:
        self.provenance, self.weights, self.user_ids = provenance, weights, user_ids
        self.universal, self.lookalike = universal, lookalike
        self.path, self.version, self.inputs = path, version, inputs
        if represented is not None:
            self.__dict__["represented"] = represented

    def __repr__(self) -> str:
        p = self.provenance
        return f"Bundle({p.data!r}, preset={p.preset!r}, users={len(self.user_ids)}, version={self.version!r})"

    @cached_property
    def represented(self) -> Represented:
        """Stage 1, as torch modules."""
        if self.path is None:
            raise BundleError("this bundle holds no user encoder", "load one that was saved, or train")
        import torch

        from kinfolk.represent.features import UserFeatures
        from kinfolk.represent.represented import Represented

        meta = read_meta(self.path, FORMAT)["represent"]
        arrays = {k: v for k, v in read_arrays(self.path / _WEIGHTS).items() if not k.startswith("lookalike.")}
        tensors = {k: torch.from_numpy(v) for k, v in arrays.items()}
        try:
            features = UserFeatures.from_arrays(read_packed(self.path / _FEATURES), meta["features"])
            return Represented.from_tensors(tensors, meta["model"], features)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as e:
            raise BundleError(f"{self.path}: {META} does not describe the user encoder ({e!r})", RESTORE) from e

    @cached_property
    def schema(self) -> Schema:
        """The schema the model was trained with."""
        if "represented" in self.__dict__:
            return self.represented.features.schema
        assert self.path is not None
        return Schema.from_dict(read_meta(self.path, FORMAT)["schema"], where=str(self.path / META))

    @cached_property
    def clicked(self) -> tuple[Jagged, NDArray[np.int64]]:
        """What every user clicked, N rows of distinct int32 numbers of items from 0, those that the model does not know
        among them, and int64[any] users of every number; empty where the bundle holds no inputs."""
        if self.inputs is None:
            return Jagged(np.zeros(0, np.int32), np.zeros(len(self.user_ids) + 1, np.int64)), np.zeros(0, np.int64)
        found = self.inputs.clicked(self.schema.history)
        values = np.array(found.values, np.int32)
        strange = values < 0
        _, place = np.unique(values[strange], return_inverse=True)
        values[strange] = (values.max(initial=0) + 1 + place).astype(np.int32)
        return Jagged(values, found.offsets), np.bincount(values, minlength=1)

    def rows(self, ids: NDArray[np.str_]) -> NDArray[np.int32]:
        """int32[len(ids)]: row of every outside user id, -1 for unknown ones."""
        return rows_of(self.user_ids, ids)

    def check_schema(self, schema: Schema) -> None:
        """Raises SchemaError unless a log of `schema` has every field that this model reads."""
        have = {f.name: type(f).__name__ for f in schema.user_fields()}
        for f in self.schema.user_fields():
            if have.get(f.name) != type(f).__name__:
                got = have.get(f.name, "nothing")
                raise SchemaError(
                    f"the bundle reads {type(f).__name__} {f.name!r}, the schema has {got} of that name",
                    "use the schema the bundle was trained with (bundle.json), or train anew",
                )

    def save(self, path: str | Path, *, overwrite: bool = False) -> Bundle:
        """Write the bundle to a directory, or where a link to one leads, and return it opened from there.

        Raises:
            BundleError: something else than a bundle is in the way, or beside one; or a bundle is and `overwrite` is
                False.
        """
        path = place(path, overwrite=overwrite)
        aside = path.with_name(f".{path.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            self._write(aside)
            swap(aside, path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return Bundle.load(path, verify=False)

    def _write(self, folder: Path) -> None:
        represented = self.represented
        features, features_meta = represented.features.to_arrays()
        tensors, model_meta = represented.to_tensors()
        lookalike = {f"lookalike.{k}": np.asarray(v) for k, v in self.weights.arrays.items()}
        save_file({**{k: v.numpy() for k, v in tensors.items()}, **lookalike}, folder / _WEIGHTS)
        save_file(packed(features), folder / _FEATURES)
        save_file(packed({"ids": self.user_ids}), folder / _USERS)
        write_npy(folder / _UNIVERSAL, self.universal)
        write_npy(folder / _LOOKALIKE, self.lookalike)
        inputs = {} if self.inputs is None else self.inputs.to_arrays()
        for name, array in inputs.items():
            write_npy(folder / _input(name), array)
        files = {p.name: {"sha256": sha256(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir())}
        meta = {
            "format": FORMAT,
            "version": hashlib.sha256(json.dumps(files).encode()).hexdigest()[:12],
            "provenance": asdict(self.provenance),
            "schema": represented.features.schema.to_dict(),
            "represent": {"model": model_meta, "features": features_meta},
            "lookalike": asdict(self.weights.config),
            "users": len(self.user_ids),
            "inputs": sorted(inputs),
            "files": files,
        }
        meta = json.loads(json.dumps(meta))  # as it will be read
        (folder / META).write_text(json.dumps({**meta, "sha256": own_hash(meta)}, indent=1), encoding="utf-8")
        as_usual = (folder / META).stat().st_mode & 0o666
        for file in folder.iterdir():
            file.chmod(as_usual)  # safetensors leaves its own to their owner alone, whatever the umask

    @staticmethod
    def version_at(path: str | Path) -> str:
        """Version of the bundle at a path, by what its `bundle.json` says; no other file is looked at.

        Raises:
            BundleError: not a bundle, or of another format.
        """
        return str(read_meta(Path(path), FORMAT)["version"])

    @classmethod
    def load(cls, path: str | Path, *, verify: bool = True, encoder: bool = False) -> Bundle:
        """Open a bundle; embeddings are memory-mapped.

        Args:
            path: the directory.
            verify: compare every file's hash; without, only sizes and shapes.
            encoder: open stage 1 now, while files are hashed, instead of when it is first asked for.

        Raises:
            BundleError: not a bundle, of another format, not to be read by this user, truncated or tampered with.
        """
        path = Path(path)
        meta = read_meta(path, FORMAT)
        if verify and meta["sha256"] != own_hash(meta):
            raise BundleError(
                f"{path / META} does not have the hash that it gives: it was changed",
                RESTORE,
            )
        unlisted = {*_READ, *(_input(name) for name in meta["inputs"])} - set(meta["files"])
        if unlisted:
            raise BundleError(f"{path / META} does not list {min(unlisted)!r} among its files", RESTORE)
        for name, want in meta["files"].items():
            file = path / name
            size = size_of(file)
            if size is None:
                raise BundleError(f"{file} is missing", RESTORE)
            if size != want["bytes"]:
                raise BundleError(f"{file} is {size} bytes long, expected {want['bytes']}: truncated?", RESTORE)
        with hashes_checked(path, meta["files"] if verify else {}):  # beside what follows
            found = cls._read(path, meta)
            if encoder:
                _ = found.represented
        return found

    @classmethod
    def _read(cls, path: Path, meta: dict[str, Any]) -> Bundle:
        file = path / META
        need_fields(file, "lookalike", meta["lookalike"], LookalikeConfig)
        try:
            config = LookalikeConfig(**meta["lookalike"])
            provenance = _provenance(file, meta["provenance"])
        except (KeyError, TypeError, OptionError) as e:
            raise BundleError(f"{file} is of another version of kinfolk ({e})", "train anew with this one") from e
        arrays = read_arrays(path / _WEIGHTS)
        stage_two = {k.removeprefix("lookalike."): v for k, v in arrays.items() if k.startswith("lookalike.")}
        weights = Weights(config, stage_two)
        weights.check()
        users = read_packed(path / _USERS).get("ids", np.zeros(0, np.str_)).astype(np.str_, copy=False)
        universal, lookalike = read_matrix(path / _UNIVERSAL), read_matrix(path / _LOOKALIKE)
        if not len(users) == len(universal) == len(lookalike) == meta["users"]:
            raise BundleError(
                f"{path}: {len(users)} user ids, {len(universal)} and {len(lookalike)} embeddings, expected "
                f"{meta['users']} of each",
                RESTORE,
            )
        named = {name: read_array(path / _input(name)) for name in meta["inputs"]}
        inputs = Inputs.from_arrays(named) if named else None
        if inputs is not None and len(inputs) != len(users):
            raise BundleError(f"{path}: inputs of {len(inputs)} users, expected {len(users)}", RESTORE)
        return cls(provenance, weights, users, universal, lookalike, path=path, version=meta["version"], inputs=inputs)


def _input(name: str) -> str:
    return f"inputs.{name}.npy"


def _provenance(file: Path, said: Mapping[str, Any]) -> Provenance:
    need_fields(file, "provenance", said, Provenance)
    need(file, "provenance.metrics", said["metrics"], dict)
    kinds: dict[str, type | tuple[type, ...]] = {"removed_items": str, "windows": (int, float)}
    for key, kind in kinds.items():
        need(file, f"provenance.{key}", said[key], list)
        for value in said[key]:
            need(file, f"provenance.{key}", value, kind)
    if len(said["windows"]) != 3:
        raise TypeError(f"{len(said['windows'])} windows")
    return Provenance(**{**said, **{key: tuple(said[key]) for key in kinds}})
