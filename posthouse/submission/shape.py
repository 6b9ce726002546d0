"""Reads JSON into a Struct, and names every wrong field when that fails.

msgspec stops at its first error and repeats unknown names and wrong values in its texts. So the happy path is one
decode, and only when it fails the JSON is walked along the Struct's types: each wrong value becomes a Finding in words
of ours, and is replaced by an empty one, so that the rules beyond types can be asked of the rest.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo, fields

from posthouse.submission.problems import MOST_FINDINGS, Finding, Problem, invalid, pointer

T = TypeVar("T", bound=msgspec.Struct)

Path = tuple[str | int, ...]
Members = dict[str, Any]

_SOME_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_BYTE = re.compile(r"\(byte ([0-9]+)\)")
_WORDS: dict[Any, str] = {
    str: "a string",
    bytes: "a string of base64",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "an array",
    dict: "an object",
    datetime: "an ISO 8601 time with a zone, such as 2026-01-31T12:00:00Z",
}


def read(raw: bytes, decoder: msgspec.json.Decoder[T]) -> tuple[T, list[Finding]]:
    """The Struct, and what was wrong with its shape (then wrong values are empty ones). Raises Problem for what is not
    JSON at all or not an object, and for more than MOST_FINDINGS wrong values, of which the first are named."""
    try:
        return decoder.decode(raw), []
    except msgspec.ValidationError:
        return _mend(raw, decoder.type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from None


def _mend(raw: bytes, struct: type[T]) -> tuple[T, list[Finding]]:
    try:
        plain: Any = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        raise Problem("malformed", "The body has a number that is out of range.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from None
    if not isinstance(plain, dict):
        raise Problem(
            "validation", "The body must be a JSON object.", errors=[Finding("", "must be an object")]
        )
    findings = _Findings()
    mended = _mend_struct(cast("Members", plain), struct, (), findings)
    return mended, findings


class _Findings(list[Finding]):
    """Bounded: one request can hold millions of wrong values, and each costs a hundred times its own size."""

    def append(self, finding: Finding) -> None:
        super().append(finding)
        if len(self) == MOST_FINDINGS:
            raise invalid(self)


def _malformed(error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem("malformed", "The body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return Problem("malformed", "The body is not valid UTF-8.")
    where = _BYTE.search(str(error))
    at = f" at byte {where[1]}" if where else ": it ends too early, or a string in it is not Unicode"
    return Problem("malformed", f"The body is not valid JSON{at}.")


def _mend_struct(plain: Members, struct: type[T], path: Path, findings: _Findings) -> T:
    known = {field.encode_name: field for field in fields(struct)}
    for name in plain:
        if name not in known:
            findings.append(Finding(pointer(*path, name), "this field is not known"))
    mended: dict[str, Any] = {}
    for name, field in known.items():
        if name in plain:
            mended[field.name] = _mend_value(plain[name], field.type, (*path, name), findings)
        elif _is_required(field):
            findings.append(Finding(pointer(*path, name), "this field is required"))
            mended[field.name] = _empty(field.type)
    return struct(**mended)


def _mend_value(value: Any, type_: Any, path: Path, findings: _Findings) -> Any:
    """The value, if it fits as it is; only what does not is looked into, since looking costs fifty times as much."""
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        return _mend_wrong(value, type_, path, findings)


def _mend_wrong(value: Any, type_: Any, path: Path, findings: _Findings) -> Any:
    for arm in _arms(type_):
        inner = get_args(arm)
        if isinstance(value, list) and get_origin(arm) is list:
            items = enumerate(cast("list[Any]", value))
            return [_mend_value(item, inner[0], (*path, n), findings) for n, item in items]
        if isinstance(value, dict):
            members = cast("Members", value)
            if _is_struct(arm):
                return _mend_struct(members, arm, path, findings)
            if get_origin(arm) is dict:
                return {k: _mend_value(v, inner[1], (*path, k), findings) for k, v in members.items()}
    findings.append(Finding(pointer(*path), f"must be {_describe(type_)}"))
    return _empty(type_)


def _is_required(field: FieldInfo) -> bool:
    return field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT


def _arms(type_: Any) -> Sequence[Any]:
    """The types of a union, without None and without constraints; of any other type itself."""
    if get_origin(type_) is Annotated:
        return _arms(get_args(type_)[0])
    if get_origin(type_) in (Union, UnionType):
        return [inner for arm in get_args(type_) if arm is not NoneType for inner in _arms(arm)]
    return [type_]


def _describe(type_: Any) -> str:
    return " or ".join(_describe_arm(arm) for arm in _arms(type_))


def _describe_arm(arm: Any) -> str:
    if get_origin(arm) is Literal:
        return "one of " + ", ".join(get_args(arm))
    return "an object" if _is_struct(arm) else _WORDS[get_origin(arm) or arm]


def _is_struct(arm: Any) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(arm, type) and issubclass(arm, msgspec.Struct)


def _empty(type_: Any) -> Any:
    """A value of that type which stands for a wrong one; a text is kept as one, so that fields are still compared."""
    arms = _arms(type_)
    if str not in arms and _takes_none(type_):
        return None
    arm = arms[0]
    if get_origin(arm) is Literal:
        return get_args(arm)[0]
    if _is_struct(arm):
        return arm(**{field.name: _empty(field.type) for field in fields(arm) if _is_required(field)})
    return _SOME_TIME if arm is datetime else (get_origin(arm) or arm)()


def _takes_none(type_: Any) -> bool:
    return NoneType in get_args(get_args(type_)[0] if get_origin(type_) is Annotated else type_)
