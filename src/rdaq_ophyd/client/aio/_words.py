"""The words of the client for async code: those of the other one."""

from __future__ import annotations

from collections.abc import Callable


def same_words[T](other: type[object]) -> Callable[[type[T]], type[T]]:
    """A class decorator: methods without a docstring take that of the same name in ``other``."""

    def decorate(cls: type[T]) -> type[T]:
        for name, member in list(vars(cls).items()):
            source = getattr(other, name, None)
            if callable(member) and not member.__doc__ and source is not None:
                member.__doc__ = source.__doc__
            elif isinstance(member, property) and member.fget is not None and not member.__doc__ and source is not None:
                setattr(cls, name, property(member.fget, doc=source.__doc__))
        return cls

    return decorate
