"""Turns batches of Arrow (Parquet files, saved data sets, hub data sets) into rows of plain values.

Single-precision numbers get the digits that were written (0.7, not 0.699999988079071), NaN is a missing value, a map is an object,
and binary that holds UTF-8 is text.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.data.task import Row

Convert = Callable[[Any], Any]


def rows(batch: Any) -> Iterator[Row]:
    """The rows of a pyarrow.RecordBatch or pyarrow.Table."""
    conversions = {field.name: convert for field in batch.schema if (convert := conversion(field.type))}
    for row in batch.to_pylist():
        yield {name: conversions[name](value) if name in conversions else value for name, value in row.items()} if conversions else row


def conversion(kind: Any) -> Convert | None:
    """How a value of an Arrow type becomes a plain one; None where pyarrow's own Python value is that already."""
    from pyarrow import types

    if types.is_float32(kind) or types.is_float16(kind):
        return shortest_float(16 if types.is_float16(kind) else 32)
    if types.is_float64(kind):
        return lambda value: None if value is None or math.isnan(value) else value
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return as_text
    if types.is_dictionary(kind):
        return conversion(kind.value_type)
    if types.is_map(kind):
        return map_conversion(kind)
    if types.is_struct(kind):
        return struct_conversion({field.name: convert for field in kind if (convert := conversion(field.type))})
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        item = conversion(kind.value_type)
        return item and (lambda values: None if values is None else [item(value) for value in values])
    return None


def shortest_float(bits: int) -> Convert:
    import numpy as np

    number = np.float16 if bits == 16 else np.float32
    return lambda value: None if value is None or math.isnan(value) else float(str(number(value)))


def as_text(value: bytes | None) -> str | bytes | None:
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def map_conversion(kind: Any) -> Convert:
    """pyarrow gives a map as a list of (key, value) pairs."""
    key, item = (conversion(part) or (lambda value: value) for part in (kind.key_type, kind.item_type))
    return lambda pairs: None if pairs is None else {str(key(name)): item(value) for name, value in pairs}


def struct_conversion(fields: dict[str, Convert]) -> Convert | None:
    if not fields:
        return None
    return lambda value: value and {name: fields[name](part) if name in fields else part for name, part in value.items()}
