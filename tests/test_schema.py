"""A schema survives TOML, and contradictions are refused by name."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinfolk.errors import SchemaError
from kinfolk.schema import Categorical, Columns, Continuous, History, MultiCategorical, Schema
from kinfolk.testing.counts import examples

NAME = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8).filter(
    lambda n: n not in vars(Columns()).values()
)
COUNT = st.integers(1, 50)
FIELD = st.one_of(
    st.builds(Categorical, NAME, COUNT),
    st.builds(MultiCategorical, NAME, st.sampled_from(["|", ",", "\\", '"']), COUNT, COUNT),
    st.builds(Continuous, NAME, st.booleans()),
)


def distinct(fields):
    return tuple({f.name: f for f in fields}.values())


@st.composite
def schemas(draw):
    user = distinct(draw(st.lists(FIELD, max_size=4)))
    taken = {f.name for f in user}
    context = distinct(f for f in draw(st.lists(st.builds(Categorical, NAME), max_size=3)) if f.name not in taken)
    taken |= {f.name for f in context}
    kinds = st.lists(NAME, max_size=2).map(tuple)
    history = distinct(h for h in draw(st.lists(st.builds(History, NAME, COUNT, kinds))) if h.name not in taken)
    return Schema(
        user=user,
        item=distinct(draw(st.lists(FIELD, max_size=3))),
        context=context,
        history=history,
        columns=Columns(label="is_click"),
        time_unit=draw(st.sampled_from(["s", "ms", "us", "ns"])),
        utc_offset=draw(st.floats(-12, 14)),
    )


@settings(deadline=None, max_examples=examples(100))
@given(schemas())
def test_toml_and_dict_give_the_same_schema(tmp_path_factory, schema):
    path = tmp_path_factory.getbasetemp() / "schema.toml"
    path.write_text(schema.to_toml(), encoding="utf-8")
    assert Schema.load(path) == schema
    assert Schema.from_dict(schema.to_dict()) == schema


def test_user_fields_are_table_context_and_histories_in_order():
    schema = Schema(user=(Categorical("a"),), context=(Categorical("b"),), history=(History("c"),))
    assert [f.name for f in schema.user_fields()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"time_unit": "h"}, "time_unit is 'h'"),
        ({"user": (Categorical("a"), Continuous("a"))}, "'a' is declared more than once"),
        ({"user": (Categorical("a"),), "context": (Categorical("a"),)}, "'a' is declared more than once"),
        ({"user": (Categorical("history"),)}, "'history' is declared more than once"),
        ({"item": (Categorical("a"), Categorical("a"))}, "'a' is declared more than once"),
        ({"item": (Categorical("time"),)}, "'time' has the name of a fixed column"),
    ],
)
def test_contradictions_are_refused(parts, message):
    with pytest.raises(SchemaError, match=message):
        Schema(**parts)


def test_an_item_field_may_share_its_name_with_a_user_field():
    assert Schema(user=(Categorical("city"),), item=(Categorical("city"),)).item[0].name == "city"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("colour = 1", "unknown key 'colour'.*use one of"),
        ("[user]\nname = 'a'", "'user' is not a list of tables"),
        ("[[user]]\nname = 'a'", "'a' has kind None"),
        ("[[user]]\nname = 'a'\nkind = 'number'", "'a' has kind 'number'.*categorical"),
        ("[[user]]\nname = 'a'\nkind = ['categorical']", r"'a' has kind \['categorical'\].*use one of categorical"),
        ("[[context]]\nname = 'a'\nkind = {}", "'a' has kind {}"),
        ("[[user]]\nkind = 'categorical'", "a field has no name"),
        ("[[user]]\nname = 'a'\nkind = 'categorical'\nmin_count = 'x'", "min_count = 'x'.*type int"),
        ("[[user]]\nname = 'a'\nkind = 'continuous'\nlog = 1", "log = 1.*type bool"),
        ("[[user]]\nname = 'a'\nkind = 'continuous'\nmin_count = 1", "unknown key 'min_count'"),
        ("[[context]]\nname = 'a'\nkind = 'continuous'", "context field is not categorical"),
        ("columns = 'a'", "'columns' is not a table"),
        ("utc_offset = '3'", "utc_offset is '3'"),
        ("[[history]]\nkinds = 'read'", "kinds = 'read'"),
        ("[[history]]\nlength = 0", "'history' has a length of 0"),
        ("[columns]\nusr = 'a'", "unknown key 'usr'"),
        ("time_unit =", "not TOML"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, toml, message):
    path = tmp_path / "schema.toml"
    path.write_text(toml)
    with pytest.raises(SchemaError, match=message) as caught:
        Schema.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_says_how_to_draft_one(tmp_path):
    with pytest.raises(SchemaError, match=r"no such file.*kinfolk validate"):
        Schema.load(tmp_path / "none.toml")


def test_schema_and_data_know_no_torch():
    code = "import sys, kinfolk.schema, kinfolk.data.encode, kinfolk.data.infer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
