"""The plain data in a pickle, read without unpickling it.

A pickle is a program; to load one runs what it names. Airflow 2 kept a run's conf as one, nearly
always of nothing but dicts, lists, texts and numbers. Here the standard library takes the program
apart, the few instructions that make plain data are followed, and any other one ends the reading.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

_MARK = object()


class NotPlainError(ValueError):
    """The pickle is damaged, or makes something else than plain data."""


def plain_data(pickled: bytes) -> Any:
    """What a pickle of plain data holds.

    Raises:
        NotPlainError: it names a class, a function or a persistent object, or is cut off.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.follow(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise NotPlainError(str(error)) from None
    raise NotPlainError("it has no end")


class _Machine:
    """The stack and the memory of one program."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def follow(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _MEMOIZE:
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in _RECALL:
            self.stack.append(self.memo[argument])
        elif name in _TAKE:
            _TAKE[name](self)
        elif name not in _NOTHING:
            raise NotPlainError(f"it has the instruction {name}")

    def marked(self) -> list[Any]:
        """What lies above the newest mark."""
        at = max(i for i, item in enumerate(self.stack) if item is _MARK)
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def last(self, count: int) -> list[Any]:
        taken = self.stack[-count:]
        if len(taken) < count or any(item is _MARK for item in taken):
            raise NotPlainError("its stack is too short")
        del self.stack[-count:]
        return taken

    def push_pairs(self, flat: list[Any]) -> None:
        self.stack.append(dict(zip(flat[::2], flat[1::2], strict=True)))

    def set_items(self, flat: list[Any]) -> None:
        self.stack[-1].update(dict(zip(flat[::2], flat[1::2], strict=True)))


_NOTHING = frozenset({"PROTO", "FRAME"})
_VALUES = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
})  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
    "MARK": lambda: _MARK,
}
_MEMOIZE = frozenset({"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"})
_RECALL = frozenset({"GET", "BINGET", "LONG_BINGET"})
_TAKE: dict[str, Callable[[_Machine], object]] = {
    "POP": lambda m: m.stack.pop(),
    "POP_MARK": lambda m: m.marked(),
    "DUP": lambda m: m.stack.append(m.stack[-1]),
    "DICT": lambda m: m.push_pairs(m.marked()),
    "LIST": lambda m: m.stack.append(m.marked()),
    "TUPLE": lambda m: m.stack.append(tuple(m.marked())),
    "TUPLE1": lambda m: m.stack.append(tuple(m.last(1))),
    "TUPLE2": lambda m: m.stack.append(tuple(m.last(2))),
    "TUPLE3": lambda m: m.stack.append(tuple(m.last(3))),
    "FROZENSET": lambda m: m.stack.append(frozenset(m.marked())),
    "ADDITEMS": lambda m: _on_last(m, m.marked(), "update"),
    "SETITEM": lambda m: m.set_items(m.last(2)),
    "SETITEMS": lambda m: m.set_items(m.marked()),
    "APPEND": lambda m: _on_last(m, m.last(1), "extend"),
    "APPENDS": lambda m: _on_last(m, m.marked(), "extend"),
}


def _on_last(machine: _Machine, items: list[Any], method: str) -> None:
    getattr(machine.stack[-1], method)(items)
