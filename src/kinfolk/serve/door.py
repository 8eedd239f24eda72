"""Who comes in: `Door`, which asks for a key of a role; and `KeyFirst`, routes that ask before they read the body.

FastAPI reads and parses a body before it asks any dependency: whoever has no key could have megabytes parsed. A route
of class `KeyFirst` asks its doors first, and refuses with the body unread.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader

from kinfolk.online.ports import Role
from kinfolk.serve.auth import HEADER, Guard
from kinfolk.serve.lane import Lane

_key = APIKeyHeader(name=HEADER, auto_error=False, description="A key from `kinfolk keys create`.")
_PASSED = "kinfolk.door"


class Door:
    """Lets a request in if its key has a role.

    Args:
        guard: who may ask.
        lane: where the store is asked for keys that are not remembered, apart from all other work.
        role: the least that is let in.
    """

    def __init__(self, guard: Guard, lane: Lane, role: Role) -> None:
        self.guard, self.lane, self.role = guard, lane, role

    async def admit(self, request: Request) -> None:
        """Let a request in, once. Raises as `Guard.admit`, and NotReadyError where too many keys are looked up."""
        if request.scope.get(_PASSED) is self:
            return
        key = request.headers.get(HEADER)
        if self.guard.remembers(key):
            self.guard.admit(key, self.role)
        else:
            await self.lane(self.guard.admit, key, self.role)
        request.scope[_PASSED] = self

    def dependency(self) -> Any:
        """The door of a route, which also says in the OpenAPI document that a key is asked for."""
        return Depends(self._asked)

    async def _asked(self, request: Request, key: Annotated[str | None, Security(_key)]) -> None:
        await self.admit(request)


class KeyFirst(APIRoute):
    """A route that asks its doors before it reads the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's, behind the doors."""
        answer = super().get_route_handler()
        owners = [getattr(depends.dependency, "__self__", None) for depends in self.dependencies]
        doors = [owner for owner in owners if isinstance(owner, Door)]

        async def admitted(request: Request) -> Response:
            for door in doors:
                await door.admit(request)
            return await answer(request)

        return admitted
