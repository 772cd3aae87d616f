from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Value(_message.Message):
    __slots__ = ("number", "integer", "truth", "text", "array", "texts")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    TRUTH_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    number: float
    integer: int
    truth: bool
    text: str
    array: Array
    texts: Texts
    def __init__(self, number: _Optional[float] = ..., integer: _Optional[int] = ..., truth: _Optional[bool] = ..., text: _Optional[str] = ..., array: _Optional[_Union[Array, _Mapping]] = ..., texts: _Optional[_Union[Texts, _Mapping]] = ...) -> None: ...

class Array(_message.Message):
    __slots__ = ("dtype", "shape", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...

class Texts(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, text: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class Signal(_message.Message):
    __slots__ = ("name", "dtype", "shape", "units", "limits", "choices", "writable", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    WRITABLE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    units: str
    limits: Limits
    choices: _containers.RepeatedScalarFieldContainer[str]
    writable: bool
    source: str
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., units: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., choices: _Optional[_Iterable[str]] = ..., writable: _Optional[bool] = ..., source: _Optional[str] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("name", "kind", "capabilities", "stop", "units", "limits", "signals", "parts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    stop: str
    units: str
    limits: Limits
    signals: _containers.RepeatedCompositeFieldContainer[Signal]
    parts: _containers.RepeatedCompositeFieldContainer[Device]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., stop: _Optional[str] = ..., units: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., signals: _Optional[_Iterable[_Union[Signal, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[Device, _Mapping]]] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDevicesReply(_message.Message):
    __slots__ = ("rig", "devices", "failures")
    class FailuresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RIG_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    rig: str
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    failures: _containers.ScalarMap[str, str]
    def __init__(self, rig: _Optional[str] = ..., devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., failures: _Optional[_Mapping[str, str]] = ...) -> None: ...

class DescribeDeviceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("value", "timestamp", "severity")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    value: Value
    timestamp: float
    severity: int
    def __init__(self, value: _Optional[_Union[Value, _Mapping]] = ..., timestamp: _Optional[float] = ..., severity: _Optional[int] = ...) -> None: ...

class ReadReply(_message.Message):
    __slots__ = ("readings",)
    class ReadingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Reading
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Reading, _Mapping]] = ...) -> None: ...
    READINGS_FIELD_NUMBER: _ClassVar[int]
    readings: _containers.MessageMap[str, Reading]
    def __init__(self, readings: _Optional[_Mapping[str, Reading]] = ...) -> None: ...

class SetRequest(_message.Message):
    __slots__ = ("name", "value", "timeout")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: Value
    timeout: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., timeout: _Optional[float] = ...) -> None: ...

class SetReply(_message.Message):
    __slots__ = ("readback", "severity")
    READBACK_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    readback: Value
    severity: int
    def __init__(self, readback: _Optional[_Union[Value, _Mapping]] = ..., severity: _Optional[int] = ...) -> None: ...

class MoveRequest(_message.Message):
    __slots__ = ("name", "target", "relative")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    target: float
    relative: bool
    def __init__(self, name: _Optional[str] = ..., target: _Optional[float] = ..., relative: _Optional[bool] = ...) -> None: ...

class MoveProgress(_message.Message):
    __slots__ = ("current", "initial", "target", "units", "elapsed", "done")
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    current: float
    initial: float
    target: float
    units: str
    elapsed: float
    done: bool
    def __init__(self, current: _Optional[float] = ..., initial: _Optional[float] = ..., target: _Optional[float] = ..., units: _Optional[str] = ..., elapsed: _Optional[float] = ..., done: _Optional[bool] = ...) -> None: ...

class StopDeviceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class StopDeviceReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LocateRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class Location(_message.Message):
    __slots__ = ("name", "setpoint", "readback", "units", "limits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SETPOINT_FIELD_NUMBER: _ClassVar[int]
    READBACK_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    setpoint: float
    readback: float
    units: str
    limits: Limits
    def __init__(self, name: _Optional[str] = ..., setpoint: _Optional[float] = ..., readback: _Optional[float] = ..., units: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ...) -> None: ...

class LocateReply(_message.Message):
    __slots__ = ("locations",)
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    locations: _containers.RepeatedCompositeFieldContainer[Location]
    def __init__(self, locations: _Optional[_Iterable[_Union[Location, _Mapping]]] = ...) -> None: ...

class TriggerRequest(_message.Message):
    __slots__ = ("name", "timeout")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    timeout: float
    def __init__(self, name: _Optional[str] = ..., timeout: _Optional[float] = ...) -> None: ...

class ReconnectRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Position(_message.Message):
    __slots__ = ("axes",)
    class AxesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    AXES_FIELD_NUMBER: _ClassVar[int]
    axes: _containers.ScalarMap[str, float]
    def __init__(self, axes: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Suspender(_message.Message):
    __slots__ = ("id", "signal", "suspended", "why")
    ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    SUSPENDED_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    id: str
    signal: str
    suspended: bool
    why: str
    def __init__(self, id: _Optional[str] = ..., signal: _Optional[str] = ..., suspended: _Optional[bool] = ..., why: _Optional[str] = ...) -> None: ...

class CalibrationChange(_message.Message):
    __slots__ = ("name", "value", "units", "timestamp", "by", "why", "undone")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    UNDONE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    units: str
    timestamp: float
    by: str
    why: str
    undone: bool
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., units: _Optional[str] = ..., timestamp: _Optional[float] = ..., by: _Optional[str] = ..., why: _Optional[str] = ..., undone: _Optional[bool] = ...) -> None: ...

class SessionFacts(_message.Message):
    __slots__ = ("rig", "operator", "data_directory", "metadata", "positions", "suspenders", "calibrations", "catalog_uri", "follows")
    class PositionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Position
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...
    class FollowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RIG_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    DATA_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    SUSPENDERS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATIONS_FIELD_NUMBER: _ClassVar[int]
    CATALOG_URI_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_FIELD_NUMBER: _ClassVar[int]
    rig: str
    operator: str
    data_directory: str
    metadata: str
    positions: _containers.MessageMap[str, Position]
    suspenders: _containers.RepeatedCompositeFieldContainer[Suspender]
    calibrations: _containers.RepeatedCompositeFieldContainer[CalibrationChange]
    catalog_uri: str
    follows: _containers.ScalarMap[str, str]
    def __init__(self, rig: _Optional[str] = ..., operator: _Optional[str] = ..., data_directory: _Optional[str] = ..., metadata: _Optional[str] = ..., positions: _Optional[_Mapping[str, Position]] = ..., suspenders: _Optional[_Iterable[_Union[Suspender, _Mapping]]] = ..., calibrations: _Optional[_Iterable[_Union[CalibrationChange, _Mapping]]] = ..., catalog_uri: _Optional[str] = ..., follows: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SessionChange(_message.Message):
    __slots__ = ("metadata", "position", "undo_calibration", "suspend", "remove_suspender")
    class Metadata(_message.Message):
        __slots__ = ("key", "json")
        KEY_FIELD_NUMBER: _ClassVar[int]
        JSON_FIELD_NUMBER: _ClassVar[int]
        key: str
        json: str
        def __init__(self, key: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...
    class NamedPosition(_message.Message):
        __slots__ = ("name", "axes")
        class AxesEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: float
            def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
        NAME_FIELD_NUMBER: _ClassVar[int]
        AXES_FIELD_NUMBER: _ClassVar[int]
        name: str
        axes: _containers.ScalarMap[str, float]
        def __init__(self, name: _Optional[str] = ..., axes: _Optional[_Mapping[str, float]] = ...) -> None: ...
    class UndoCalibration(_message.Message):
        __slots__ = ("name", "why")
        NAME_FIELD_NUMBER: _ClassVar[int]
        WHY_FIELD_NUMBER: _ClassVar[int]
        name: str
        why: str
        def __init__(self, name: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...
    class NewSuspender(_message.Message):
        __slots__ = ("kind", "signal", "numbers")
        class NumbersEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: float
            def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
        KIND_FIELD_NUMBER: _ClassVar[int]
        SIGNAL_FIELD_NUMBER: _ClassVar[int]
        NUMBERS_FIELD_NUMBER: _ClassVar[int]
        kind: str
        signal: str
        numbers: _containers.ScalarMap[str, float]
        def __init__(self, kind: _Optional[str] = ..., signal: _Optional[str] = ..., numbers: _Optional[_Mapping[str, float]] = ...) -> None: ...
    METADATA_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    UNDO_CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    SUSPEND_FIELD_NUMBER: _ClassVar[int]
    REMOVE_SUSPENDER_FIELD_NUMBER: _ClassVar[int]
    metadata: SessionChange.Metadata
    position: SessionChange.NamedPosition
    undo_calibration: SessionChange.UndoCalibration
    suspend: SessionChange.NewSuspender
    remove_suspender: str
    def __init__(self, metadata: _Optional[_Union[SessionChange.Metadata, _Mapping]] = ..., position: _Optional[_Union[SessionChange.NamedPosition, _Mapping]] = ..., undo_calibration: _Optional[_Union[SessionChange.UndoCalibration, _Mapping]] = ..., suspend: _Optional[_Union[SessionChange.NewSuspender, _Mapping]] = ..., remove_suspender: _Optional[str] = ...) -> None: ...

class OpenCatalogRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Catalog(_message.Message):
    __slots__ = ("uri", "key", "host")
    URI_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    uri: str
    key: str
    host: str
    def __init__(self, uri: _Optional[str] = ..., key: _Optional[str] = ..., host: _Optional[str] = ...) -> None: ...

class WatchLogRequest(_message.Message):
    __slots__ = ("instance", "since")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    instance: str
    since: int
    def __init__(self, instance: _Optional[str] = ..., since: _Optional[int] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("time", "level", "logger", "text", "number")
    TIME_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    LOGGER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    time: float
    level: str
    logger: str
    text: str
    number: int
    def __init__(self, time: _Optional[float] = ..., level: _Optional[str] = ..., logger: _Optional[str] = ..., text: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class StopAllRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("device", "outcome", "latched", "seconds", "detail", "process")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LATCHED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    device: str
    outcome: str
    latched: bool
    seconds: float
    detail: str
    process: str
    def __init__(self, device: _Optional[str] = ..., outcome: _Optional[str] = ..., latched: _Optional[bool] = ..., seconds: _Optional[float] = ..., detail: _Optional[str] = ..., process: _Optional[str] = ...) -> None: ...

class StopReport(_message.Message):
    __slots__ = ("reason", "by", "at", "verdicts")
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    by: str
    at: float
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    def __init__(self, reason: _Optional[str] = ..., by: _Optional[str] = ..., at: _Optional[float] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ...) -> None: ...

class ResetRequest(_message.Message):
    __slots__ = ("reason", "force")
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    force: bool
    def __init__(self, reason: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class ResetReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "required", "device", "many", "default_text", "help", "schema", "devices")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MANY_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_TEXT_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    name: str
    required: bool
    device: bool
    many: bool
    default_text: str
    help: str
    schema: str
    devices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., required: _Optional[bool] = ..., device: _Optional[bool] = ..., many: _Optional[bool] = ..., default_text: _Optional[str] = ..., help: _Optional[str] = ..., schema: _Optional[str] = ..., devices: _Optional[_Iterable[str]] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("name", "doc", "parameters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    doc: str
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    def __init__(self, name: _Optional[str] = ..., doc: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ...) -> None: ...

class ListPlansRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPlansReply(_message.Message):
    __slots__ = ("plans",)
    PLANS_FIELD_NUMBER: _ClassVar[int]
    plans: _containers.RepeatedCompositeFieldContainer[Plan]
    def __init__(self, plans: _Optional[_Iterable[_Union[Plan, _Mapping]]] = ...) -> None: ...

class RunPlanRequest(_message.Message):
    __slots__ = ("name", "arguments", "md")
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    class MdEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    MD_FIELD_NUMBER: _ClassVar[int]
    name: str
    arguments: _containers.MessageMap[str, Value]
    md: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., arguments: _Optional[_Mapping[str, Value]] = ..., md: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RunScriptRequest(_message.Message):
    __slots__ = ("name", "source", "arguments", "md")
    class MdEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    MD_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: bytes
    arguments: _containers.RepeatedScalarFieldContainer[str]
    md: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., source: _Optional[bytes] = ..., arguments: _Optional[_Iterable[str]] = ..., md: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RunEvent(_message.Message):
    __slots__ = ("what", "run_uid", "scan_id", "exit_status", "reason", "run_uids", "result", "error", "output", "progress", "id", "number")
    class What(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[RunEvent.What]
        BEGUN: _ClassVar[RunEvent.What]
        RUN: _ClassVar[RunEvent.What]
        PAUSED: _ClassVar[RunEvent.What]
        RESUMED: _ClassVar[RunEvent.What]
        ENDED: _ClassVar[RunEvent.What]
        OUTPUT: _ClassVar[RunEvent.What]
        PROGRESS: _ClassVar[RunEvent.What]
    UNKNOWN: RunEvent.What
    BEGUN: RunEvent.What
    RUN: RunEvent.What
    PAUSED: RunEvent.What
    RESUMED: RunEvent.What
    ENDED: RunEvent.What
    OUTPUT: RunEvent.What
    PROGRESS: RunEvent.What
    WHAT_FIELD_NUMBER: _ClassVar[int]
    RUN_UID_FIELD_NUMBER: _ClassVar[int]
    SCAN_ID_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RUN_UIDS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    what: RunEvent.What
    run_uid: str
    scan_id: int
    exit_status: str
    reason: str
    run_uids: _containers.RepeatedScalarFieldContainer[str]
    result: str
    error: Error
    output: str
    progress: Progress
    id: str
    number: int
    def __init__(self, what: _Optional[_Union[RunEvent.What, str]] = ..., run_uid: _Optional[str] = ..., scan_id: _Optional[int] = ..., exit_status: _Optional[str] = ..., reason: _Optional[str] = ..., run_uids: _Optional[_Iterable[str]] = ..., result: _Optional[str] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., output: _Optional[str] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., id: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("name", "current", "initial", "target", "units", "elapsed", "done")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    name: str
    current: float
    initial: float
    target: float
    units: str
    elapsed: float
    done: bool
    def __init__(self, name: _Optional[str] = ..., current: _Optional[float] = ..., initial: _Optional[float] = ..., target: _Optional[float] = ..., units: _Optional[str] = ..., elapsed: _Optional[float] = ..., done: _Optional[bool] = ...) -> None: ...

class FollowPlanRequest(_message.Message):
    __slots__ = ("id", "since")
    ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    since: int
    def __init__(self, id: _Optional[str] = ..., since: _Optional[int] = ...) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ("at_checkpoint",)
    AT_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    at_checkpoint: bool
    def __init__(self, at_checkpoint: _Optional[bool] = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("accept_changes", "told")
    ACCEPT_CHANGES_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    accept_changes: str
    told: str
    def __init__(self, accept_changes: _Optional[str] = ..., told: _Optional[str] = ...) -> None: ...

class EndRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class GetStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class State(_message.Message):
    __slots__ = ("rig", "engine", "plan", "run_uid", "scan_id", "stopped", "why", "verdicts", "failures", "moving", "instance")
    class FailuresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RIG_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    RUN_UID_FIELD_NUMBER: _ClassVar[int]
    SCAN_ID_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    MOVING_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    rig: str
    engine: str
    plan: str
    run_uid: str
    scan_id: int
    stopped: bool
    why: str
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    failures: _containers.ScalarMap[str, str]
    moving: _containers.RepeatedScalarFieldContainer[str]
    instance: str
    def __init__(self, rig: _Optional[str] = ..., engine: _Optional[str] = ..., plan: _Optional[str] = ..., run_uid: _Optional[str] = ..., scan_id: _Optional[int] = ..., stopped: _Optional[bool] = ..., why: _Optional[str] = ..., verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ..., failures: _Optional[_Mapping[str, str]] = ..., moving: _Optional[_Iterable[str]] = ..., instance: _Optional[str] = ...) -> None: ...

class StreamDocumentsRequest(_message.Message):
    __slots__ = ("instance", "since", "open_run")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    OPEN_RUN_FIELD_NUMBER: _ClassVar[int]
    instance: str
    since: int
    open_run: bool
    def __init__(self, instance: _Optional[str] = ..., since: _Optional[int] = ..., open_run: _Optional[bool] = ...) -> None: ...

class Document(_message.Message):
    __slots__ = ("name", "line", "position")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    name: str
    line: bytes
    position: int
    def __init__(self, name: _Optional[str] = ..., line: _Optional[bytes] = ..., position: _Optional[int] = ...) -> None: ...

class FrameCredit(_message.Message):
    __slots__ = ("camera", "scale", "credits", "together")
    CAMERA_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    TOGETHER_FIELD_NUMBER: _ClassVar[int]
    camera: str
    scale: int
    credits: int
    together: bool
    def __init__(self, camera: _Optional[str] = ..., scale: _Optional[int] = ..., credits: _Optional[int] = ..., together: _Optional[bool] = ...) -> None: ...

class FrameHeader(_message.Message):
    __slots__ = ("sequence", "host_time", "hardware_time", "width", "height", "dtype", "scale", "offered", "skipped", "age", "waited")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HOST_TIME_FIELD_NUMBER: _ClassVar[int]
    HARDWARE_TIME_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    WAITED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    host_time: float
    hardware_time: int
    width: int
    height: int
    dtype: str
    scale: int
    offered: int
    skipped: int
    age: float
    waited: float
    def __init__(self, sequence: _Optional[int] = ..., host_time: _Optional[float] = ..., hardware_time: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., dtype: _Optional[str] = ..., scale: _Optional[int] = ..., offered: _Optional[int] = ..., skipped: _Optional[int] = ..., age: _Optional[float] = ..., waited: _Optional[float] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("header", "pixels", "also")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    header: FrameHeader
    pixels: bytes
    also: _containers.RepeatedCompositeFieldContainer[Frame]
    def __init__(self, header: _Optional[_Union[FrameHeader, _Mapping]] = ..., pixels: _Optional[bytes] = ..., also: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ...) -> None: ...

class StreamSamplesRequest(_message.Message):
    __slots__ = ("name", "flush")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    name: str
    flush: float
    def __init__(self, name: _Optional[str] = ..., flush: _Optional[float] = ...) -> None: ...

class SampleCalibration(_message.Message):
    __slots__ = ("scale", "offset", "measured_units")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    MEASURED_UNITS_FIELD_NUMBER: _ClassVar[int]
    scale: float
    offset: float
    measured_units: str
    def __init__(self, scale: _Optional[float] = ..., offset: _Optional[float] = ..., measured_units: _Optional[str] = ...) -> None: ...

class SampleColumn(_message.Message):
    __slots__ = ("name", "dtype", "units", "calibration")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    units: str
    calibration: SampleCalibration
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., units: _Optional[str] = ..., calibration: _Optional[_Union[SampleCalibration, _Mapping]] = ...) -> None: ...

class SampleSchema(_message.Message):
    __slots__ = ("schema_id", "device", "rate", "columns")
    SCHEMA_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    schema_id: int
    device: str
    rate: float
    columns: _containers.RepeatedCompositeFieldContainer[SampleColumn]
    def __init__(self, schema_id: _Optional[int] = ..., device: _Optional[str] = ..., rate: _Optional[float] = ..., columns: _Optional[_Iterable[_Union[SampleColumn, _Mapping]]] = ...) -> None: ...

class SampleBlock(_message.Message):
    __slots__ = ("payload", "schema_id", "first_seq", "dropped", "time", "shot", "schema")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SHOT_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    schema_id: int
    first_seq: int
    dropped: int
    time: float
    shot: int
    schema: SampleSchema
    def __init__(self, payload: _Optional[bytes] = ..., schema_id: _Optional[int] = ..., first_seq: _Optional[int] = ..., dropped: _Optional[int] = ..., time: _Optional[float] = ..., shot: _Optional[int] = ..., schema: _Optional[_Union[SampleSchema, _Mapping]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("kind", "what", "hint", "about")
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    what: str
    hint: str
    about: str
    def __init__(self, kind: _Optional[str] = ..., what: _Optional[str] = ..., hint: _Optional[str] = ..., about: _Optional[str] = ...) -> None: ...
