"""/v1/admin/keys: who may ask, while the server runs; `kinfolk keys` does the same to a store at rest."""

from __future__ import annotations

from fastapi import APIRouter

from kinfolk.online.answers import NotFoundError
from kinfolk.serve.auth import make_key
from kinfolk.serve.context import Context, PathId
from kinfolk.serve.wire import KeyIn
from kinfolk.serve.wire_out import KeyList, KeyMade, KeyOut


def routes(context: Context) -> APIRouter:
    """For admins."""
    router = context.router("admin", "admin")
    keys = context.guard.keys

    @router.get("/v1/admin/keys", summary="API keys, by name")
    def list_keys() -> KeyList:
        """Without the keys themselves: those are nowhere."""
        return KeyList(keys=[KeyOut.model_validate(key) for key in keys.list()])

    @router.post("/v1/admin/keys", status_code=201, summary="Make an API key")
    def create_key(body: KeyIn) -> KeyMade:
        """Shown this once; the store keeps its hash."""
        text, key = make_key(keys, body.name, body.role, now=context.clock(), per_second=body.per_second)
        return KeyMade(key=text, **KeyOut.model_validate(key).model_dump())

    @router.delete("/v1/admin/keys/{id}", status_code=204, summary="Revoke a key by its name")
    def revoke_key(id: PathId) -> None:
        """Other workers, and other servers, notice within five seconds."""
        if not keys.revoke(id):
            raise NotFoundError(f"no key is called {id!r}", "GET /v1/admin/keys lists them")
        context.guard.forget_known()

    return router
