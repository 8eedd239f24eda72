"""kinfolk finds more people like the ones you have: RALM, the real-time look-alike model, from logs to audiences."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_PUBLIC = {
    "Bundle": "kinfolk.bundle",
    "Categorical": "kinfolk.schema",
    "Continuous": "kinfolk.schema",
    "History": "kinfolk.schema",
    "KinfolkError": "kinfolk.errors",
    "MultiCategorical": "kinfolk.schema",
    "Schema": "kinfolk.schema",
    "encode": "kinfolk.data.encode",
    "expand": "kinfolk.expansion",
    "read_tables": "kinfolk.data.tables",
    "train": "kinfolk.training",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'kinfolk' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
