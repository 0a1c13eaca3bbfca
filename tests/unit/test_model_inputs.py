"""What models may read of a lake: never a secret, of values their size only."""

from __future__ import annotations

import pytest

from airkeep.lake.statement import named_in
from airkeep.models.catalog import MADE, RAW, Model, models
from airkeep.tables.secrets import SECRETS

VALUES = {"xcom": "value"}  # a size is made of it


@pytest.mark.parametrize("model", models().values(), ids=lambda m: m.name)
def test_no_model_reads_a_secret(model: Model) -> None:
    for one, columns in model.inputs.items():
        secrets = {s.column for s in SECRETS if s.table == one.table}
        assert not secrets & columns.keys()


@pytest.mark.parametrize("model", models().values(), ids=lambda m: m.name)
def test_of_a_value_only_the_size_is_kept(model: Model) -> None:
    for one, columns in model.inputs.items():
        if VALUES.get(one.table) in columns:
            assert model.sql.count("value") == model.sql.count("octet_length(x.value)") == 1
        assert not {"conf", "extra", "val", "stacktrace"} & columns.keys()


@pytest.mark.parametrize("model", models().values(), ids=lambda model: model.name)
def test_a_model_needs_those_that_its_sql_names(model: Model) -> None:
    named = {name for name in named_in(model.sql) if not name.startswith((RAW, MADE))}
    sources = {name for made in model.made for name in made.sources if name in models()}

    assert set(model.needs) == named | sources
