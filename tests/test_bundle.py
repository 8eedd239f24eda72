"""A bundle is whole or not there, loads back to the same numbers, and says what is wrong with it."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kinfolk.bundle import Bundle
from kinfolk.bundle.files import sha256
from kinfolk.bundle.meta import own_hash
from kinfolk.errors import BundleError, SchemaError
from kinfolk.represent.embed import embed
from kinfolk.schema import Categorical, History, Schema
from kinfolk.training import check_out


@pytest.fixture
def copy(small_bundle, tmp_path):
    target = tmp_path / "copy"
    shutil.copytree(small_bundle.path, target)
    return target


def test_it_loads_back_to_the_same_numbers(small_bundle, small_log, tmp_path):
    again = small_bundle.save(tmp_path / "again")
    np.testing.assert_array_equal(again.user_ids, small_log.user_ids)
    np.testing.assert_array_equal(again.universal, small_bundle.universal)
    np.testing.assert_array_equal(again.lookalike, small_bundle.lookalike)
    assert again.provenance == small_bundle.provenance
    assert again.version == small_bundle.version
    assert again.schema == small_log.schema


def test_the_stored_encoder_gives_the_stored_embeddings(small_bundle, small_log):
    users = np.arange(50, dtype=np.int32)
    view = small_log.view(small_bundle.provenance.trained_until)
    x = embed(small_bundle.represented, view, users)
    np.testing.assert_allclose(x, small_bundle.universal[:50], atol=1e-5)
    np.testing.assert_allclose(small_bundle.weights.transform(x), small_bundle.lookalike[:50], atol=1e-5)


def test_no_pickle_is_in_it(small_bundle):
    assert {p.suffix for p in small_bundle.path.iterdir()} == {".json", ".safetensors", ".npy"}
    for file in small_bundle.path.glob("*.npy"):
        np.load(file, allow_pickle=False)


def _truncate(folder, name):
    file = folder / name
    file.write_bytes(file.read_bytes()[:-7])


def _flip(folder, name):
    file = folder / name
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "name",
    ["weights.safetensors", "features.safetensors", "users.safetensors", "lookalike.npy", "inputs.history0.values.npy"],
)
@pytest.mark.parametrize(
    ("harm", "said"),
    [(_truncate, "truncated"), (_flip, "was changed"), (lambda f, n: (f / n).unlink(), "is missing")],
)
def test_a_harmed_file_is_named_with_the_remedy(copy, name, harm, said):
    harm(copy, name)
    with pytest.raises(BundleError, match=said) as caught:
        Bundle.load(copy)
    assert name in str(caught.value)
    assert "restore the bundle" in caught.value.remedy


@pytest.mark.parametrize("size", [0, 1, 8 << 20, (16 << 20) + 3])
def test_a_file_is_hashed_to_its_end(tmp_path, size):
    """Of several pieces, and of none."""
    data = np.random.default_rng(size).bytes(size)
    (tmp_path / "file").write_bytes(data)
    assert sha256(tmp_path / "file") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", ["weights.safetensors", "features.safetensors", "users.safetensors", "universal.npy"])
@pytest.mark.parametrize("encoder", [False, True])
def test_a_file_that_cannot_even_be_read_is_told_as_changed(copy, name, encoder):
    """Whatever reading runs into while hashes are still computed."""
    file = copy / name
    file.write_bytes(b"{" + file.read_bytes()[1:])
    with pytest.raises(BundleError, match="was changed"):
        Bundle.load(copy, encoder=encoder)


def test_the_encoder_can_be_opened_at_once(copy, small_bundle):
    for encoder in (True, False):
        opened = Bundle.load(copy, encoder=encoder)
        assert ("represented" in vars(opened)) == encoder
    assert opened.represented.features.item_ids.tolist() == small_bundle.represented.features.item_ids.tolist()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_whom_the_umask_lets_read_reads_all_of_it(small_bundle, tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        small_bundle.save(tmp_path / "b")
    finally:
        os.umask(before)
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "b").iterdir()} == {mode}


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors", "lookalike.npy"])
def test_a_file_that_another_user_keeps_is_named_with_its_own_remedy(copy, monkeypatch, name):
    opened = Path.open

    def kept(path, *args, **kwargs):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", kept)
    with pytest.raises(BundleError, match=f"{name} cannot be read by the user") as caught:
        Bundle.load(copy)
    assert "chmod a+r" in caught.value.remedy


def _edit(folder, change, *, signed=False):
    file = folder / "bundle.json"
    meta = json.loads(file.read_text())
    change(meta)
    if signed:
        meta["sha256"] = own_hash(meta)
    file.write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(format=99), "format 99"),
        (lambda m: m.pop("provenance"), "lacks 'provenance'"),
        (lambda m: m.update(users=3), "was changed"),
        (lambda m: m["provenance"].update(trained_until=0.0), "was changed"),
    ],
)
def test_a_changed_description_is_refused(copy, change, said):
    _edit(copy, change)
    with pytest.raises(BundleError, match=said):
        Bundle.load(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(users=3), "expected 3 of each"),
        (lambda m: m["lookalike"].update(colour="red"), "another version of kinfolk"),
        (lambda m: m["provenance"].pop("windows"), "another version of kinfolk"),
    ],
)
def test_even_without_hashes_a_description_must_fit(copy, change, said):
    _edit(copy, change)
    with pytest.raises(BundleError, match=said):
        Bundle.load(copy, verify=False)


@pytest.mark.parametrize(
    "name", ["/dev/zero", "../../../etc/hostname", "..", "", "a/b", "./weights.safetensors", "a\0b"]
)
@pytest.mark.parametrize("verify", [False, True])
def test_a_name_of_a_file_elsewhere_is_refused(copy, name, verify):
    """Before anything is read, or asked of the disk, under it."""

    def change(m):
        m["files"][name] = {"sha256": "0" * 64, "bytes": 0}

    _edit(copy, change, signed=True)
    with pytest.raises(BundleError, match=r"bundle\.json names|no plain file"):
        Bundle.load(copy, verify=verify)


@pytest.mark.parametrize("name", ["bundle.json", "universal.npy"])
def test_what_is_no_plain_file_is_refused(copy, name):
    """To open a pipe would wait for a writer."""
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(BundleError, match=f"{name} is no plain file"):
        Bundle.load(copy)


@pytest.mark.parametrize("name", ["weights.safetensors", "universal.npy", "inputs.numbers.npy"])
@pytest.mark.parametrize("verify", [False, True])
def test_every_file_that_is_read_is_listed(copy, name, verify):
    _edit(copy, lambda m: m["files"].pop(name), signed=True)
    with pytest.raises(BundleError, match=f"does not list '{name}'"):
        Bundle.load(copy, verify=verify)


def _put(path, value):
    def change(m):
        *way, last = path
        for key in way:
            m = m[key]
        m[last] = value

    return change


WRONG = [
    *((key,) for key in ("version", "provenance", "schema", "represent", "lookalike", "users", "inputs", "files")),
    *(("represent", key) for key in ("model", "features")),
    *(("provenance", key) for key in ("data", "seed", "trained_until", "removed_items", "windows", "metrics")),
    *(("lookalike", key) for key in ("m", "alpha", "pooling", "size_aware")),
    ("files", "users.safetensors"),
    ("files", "users.safetensors", "sha256"),
    ("files", "users.safetensors", "bytes"),
]


@pytest.mark.parametrize("path", WRONG, ids=".".join)
def test_a_value_of_another_type_is_refused(copy, path):
    right = json.loads((copy / "bundle.json").read_text())
    for key in path:
        right = right[key]
    fits = (int, float) if isinstance(right, float) else (type(right),)
    for wrong in (None, [], {}, [None], "x", 1, True):
        if wrong != [None] and type(wrong) in fits:
            continue
        _edit(copy, _put(path, wrong), signed=True)
        with pytest.raises(BundleError):
            Bundle.load(copy, encoder=True)


@pytest.mark.parametrize("text", ["[]", "3", '"format"', "null", "[" * 100_000])
def test_what_is_no_description_at_all_is_refused(copy, text):
    (copy / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.load(copy)


@pytest.mark.parametrize("path", [("represent", "model", "encoder"), ("represent", "features", "means")])
def test_a_description_of_another_encoder_is_refused(copy, path):
    _edit(copy, _put(path, 3), signed=True)
    with pytest.raises(BundleError, match="does not describe the user encoder"):
        Bundle.load(copy, encoder=True)


def test_half_a_description_is_refused(copy):
    file = copy / "bundle.json"
    file.write_text(file.read_text()[:200])
    with pytest.raises(BundleError, match="damaged"):
        Bundle.load(copy)


def test_weights_that_are_not_finite_are_refused(copy):
    file = copy / "weights.safetensors"
    arrays = load_file(file)
    arrays["lookalike.local"][0, 0] = np.nan
    save_file(arrays, file)
    with pytest.raises(BundleError, match=r"local.*not finite"):
        Bundle.load(copy, verify=False)


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match="no bundle"):
        Bundle.load(tmp_path)


def test_nothing_else_is_overwritten(small_bundle, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mum.txt").write_text("hello")
    with pytest.raises(BundleError, match="no bundle"):
        small_bundle.save(tmp_path / "letters")
    small_bundle.save(tmp_path / "b")
    with pytest.raises(BundleError, match="--overwrite"):
        small_bundle.save(tmp_path / "b")
    small_bundle.save(tmp_path / "b", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "letters"]


@pytest.mark.parametrize(
    "described",
    ["", "{}", "[]", "[" * 100_000, '{"format": 2}', '{"format": 2, "version": "x", "provenance": {}, "files": 3}'],
)
def test_what_only_has_a_file_called_like_a_bundles_is_not_overwritten(small_bundle, tmp_path, described):
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "bundle.json").write_text(described)
    (folder / "precious.txt").write_text("hello")
    for write in (small_bundle.save, check_out):
        with pytest.raises(BundleError, match=r"no bundle.*remove the folder yourself"):
            write(folder, overwrite=True)
    assert (folder / "precious.txt").read_text() == "hello"


def test_a_bundle_with_something_else_beside_its_files_is_not_overwritten(copy, small_bundle):
    for name in ("notes.txt", "audience.parquet"):
        (copy / name).write_text("hello")
    for write in (small_bundle.save, check_out):
        with pytest.raises(BundleError, match=r"holds 'audience\.parquet', which is no part of the bundle"):
            write(copy, overwrite=True)
    assert (copy / "notes.txt").read_text() == "hello"
    assert Bundle.load(copy).version == small_bundle.version


def test_a_bundle_of_another_format_can_be_overwritten(copy, small_bundle):
    """As the error that refuses to load it advises."""
    _edit(copy, lambda m: m.update(format=1))
    small_bundle.save(copy, overwrite=True)
    assert Bundle.load(copy).version == small_bundle.version


def test_a_link_to_a_bundle_goes_on_to_lead_to_one(copy, small_bundle, tmp_path):
    (tmp_path / "current").symlink_to("copy", target_is_directory=True)
    for _ in range(2):
        small_bundle.save(tmp_path / "current", overwrite=True)
        assert sorted((p.name, p.is_symlink()) for p in tmp_path.iterdir()) == [("copy", False), ("current", True)]
        assert Bundle.load(tmp_path / "current").version == small_bundle.version


def test_a_link_to_nothing_yet_is_followed(small_bundle, tmp_path):
    (tmp_path / "current").symlink_to("monday")
    small_bundle.save(tmp_path / "current")
    assert Bundle.load(tmp_path / "monday").version == small_bundle.version


def test_a_schema_that_does_not_fit_is_named(small_bundle):
    small_bundle.check_schema(small_bundle.schema)
    with pytest.raises(SchemaError, match="section"):
        small_bundle.check_schema(Schema(user=(Categorical("colour"),), history=(History(),)))


def test_inputs_that_do_not_fit_are_refused(copy):
    numbers = copy / "inputs.numbers.npy"
    np.save(numbers, np.load(numbers)[:-1])
    _edit(copy, lambda m: m["files"]["inputs.numbers.npy"].update(bytes=numbers.stat().st_size))
    with pytest.raises(BundleError, match="inputs are not of"):
        Bundle.load(copy, verify=False)


def test_without_inputs_it_saves_and_loads(small_bundle, tmp_path):
    b = small_bundle
    plain = Bundle(b.provenance, b.weights, b.user_ids, b.universal, b.lookalike, b.represented)
    again = plain.save(tmp_path / "plain")
    assert again.inputs is None
    assert b.inputs is not None
    assert len(b.inputs) == len(b.user_ids)


def test_what_a_kill_between_two_moves_has_left_stays_until_a_new_bundle_stands(tmp_path):
    from kinfolk.bundle.place import swap

    left, path, aside = tmp_path / ".b.old", tmp_path / "b", tmp_path / "aside"
    left.mkdir()
    (left / "x").write_text("the only copy")
    with pytest.raises(FileNotFoundError):
        swap(aside, path)
    assert (path / "x").read_text() == "the only copy"
    path.rename(left)
    aside.mkdir()
    swap(aside, path)
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
