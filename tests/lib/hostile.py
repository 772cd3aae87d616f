"""Messages as a hostile client makes them: valid, with values that nobody expects; and bytes that are none."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

DOUBLES = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf, 1e-9, 600.0])
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", " ", "\0", "x" * 3000, "../../etc/passwd", "__class__", "a.b.c.d.e", "%s%n", "\u202e", "1e999", "[1,"]
    ),
)
BYTES = st.binary(max_size=60)
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 1 << 31, 1 << 62, (1 << 64) - 1]), max_size=5)


def integers(field: FieldDescriptor) -> st.SearchStrategy[int]:
    """Of a field's whole range, its ends most of all."""
    signed = field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
    bits = 32 if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32) else 64
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return st.one_of(st.integers(low, high), st.sampled_from([low, high, 0, 1]))


def _scalar(field: FieldDescriptor, names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return DOUBLES
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_STRING:
            return st.one_of(names, TEXTS) if field.name in ("name", "names", "camera", "text") else TEXTS
    return integers(field)


def messages_of(kind: Descriptor, names: st.SearchStrategy[str], depth: int = 3) -> st.SearchStrategy[Any]:
    """Messages of a kind.

    :param names: of what there is: devices, signals, plans, parameters.
    """

    def value_of(field: FieldDescriptor) -> st.SearchStrategy[Any]:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return BYTES
        if field.message_type is not None:
            return messages_of(field.message_type, names, depth - 1)
        return _scalar(field, names)

    def of(field: FieldDescriptor) -> st.SearchStrategy[Any]:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            keys, values = (field.message_type.fields_by_name[part] for part in ("key", "value"))
            return st.dictionaries(st.one_of(names, _scalar(keys, names)), value_of(values), max_size=4)
        if field.name == "shape":
            return SHAPES
        return st.lists(value_of(field), max_size=4) if field.is_repeated else value_of(field)

    @st.composite
    def message(draw: Any) -> Any:
        made = GetMessageClass(kind)()
        for field in kind.fields if depth else ():
            if draw(st.integers(0, 3)):
                _put(made, field, draw(of(field)))
        return made

    return message()


def _put(made: Any, field: FieldDescriptor, value: Any) -> None:
    place = getattr(made, field.name) if field.is_repeated or field.message_type is not None else None
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for key, each in value.items():
            if hasattr(each, "DESCRIPTOR"):
                place[key].CopyFrom(each)
            else:
                place[key] = each
    elif field.is_repeated:
        place.extend(value)
    elif field.message_type is not None:
        place.CopyFrom(value)
    else:
        setattr(made, field.name, value)
