"""What an HDF5 file of ours says about itself, and its datasets under the data keys that its device gave them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import h5py

    from rdaq_ophyd.frames import ReadableFile


class FileKey(NamedTuple):
    """One data key.

    :param described: as in a descriptor.
    :param parameters: as in a stream resource.
    :param rows: that can be read.
    """

    described: dict[str, Any]
    parameters: dict[str, Any]
    rows: int


def facts_of(path: Path, readable: ReadableFile) -> tuple[dict[str, Any], dict[str, FileKey]]:
    """Facts about the device and the file, and the data keys of all datasets with rows.

    Files of analog inputs tell of each channel in ``channels``.

    :raises OSError: HDF5 cannot open the file.
    :raises KeyError: it says not when it was begun.
    """
    import h5py

    from rdaq_ophyd.frames import DETECTOR
    from rdaq_ophyd.samples import CARD

    with h5py.File(path, "r", swmr=True) as file:
        facts = {name: file[f"/entry/{name}"][()].decode() for name in ("start_time", "end_time")}
        is_card = CARD in file
        facts.update(_settled(file[CARD] if is_card else file.get(DETECTOR, {})))
        name = facts["name"] = facts.pop("local_name", path.stem)
        if is_card:
            facts["channels"] = {
                group.name.rpartition("/")[2]: _settled(group)
                for group in file[CARD].parent.values()
                if group.attrs.get("NX_class") == "NXsensor"
            }
        keys = {}
        for where, rows in readable.rows.items():
            dataset = file[where]
            if dataset.dtype.kind in "biufc":
                key = _block_key(name, where) if is_card else _frame_key(name, where)
                described = _described(dataset, path)
                if is_card and described["shape"]:
                    described["dims"] = [f"{name}_sample"]
                keys[key] = FileKey(described, _parameters(dataset, where), rows)
    return facts, keys


def _settled(group: Any) -> dict[str, Any]:
    """Values of the datasets that do not grow."""
    import h5py

    found = {}
    for name, dataset in group.items():
        if isinstance(dataset, h5py.Dataset) and dataset.maxshape == dataset.shape:
            value = dataset[()]
            found[name] = value.decode() if isinstance(value, bytes) else value.tolist()
    return found


def _frame_key(name: str, where: str) -> str:
    from rdaq_ophyd.frames import SCALARS

    last = where.rpartition("/")[2]
    told = {column: ending for ending, column in SCALARS.items()}
    return name if last == "data" else f"{name}-{told.get(last, last)}"


def _block_key(name: str, where: str) -> str:
    """``adc-ai0`` is the samples of a channel, ``adc-ai0-mean`` a statistic, ``adc-start`` a time of each block."""
    from rdaq_ophyd.samples import TIMES, column_path

    *_, group, last = where.split("/")
    told = {column_path(column): ending for ending, column in TIMES.items()}
    return f"{name}-{told.get(where, last if group == 'data' else f'{group}-{last}')}"


def _described(dataset: h5py.Dataset, path: Path) -> dict[str, Any]:
    shape = list(dataset.shape[1:])
    units = {"units": dataset.attrs["units"]} if "units" in dataset.attrs else {}
    kind = {"dtype": "array" if shape else "number", "dtype_numpy": dataset.dtype.str, "shape": shape}
    return {"source": f"file://localhost{path}", "external": "STREAM:", **kind, **units}


def _parameters(dataset: h5py.Dataset, where: str) -> dict[str, Any]:
    return {"dataset": where, "chunk_shape": list(dataset.chunks), "swmr": True}
