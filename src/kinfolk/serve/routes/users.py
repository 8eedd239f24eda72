"""/v1/users: users that came after training, and users who leave."""

from __future__ import annotations

from fastapi import APIRouter

from kinfolk.online.answers import ForgetStatus, UserView
from kinfolk.serve.context import Context, PathId
from kinfolk.serve.wire import UserIn


def routes(context: Context) -> APIRouter:
    """Reading for readers, changing and forgetting for writers, taking it back for admins."""
    router = context.router("users")
    reader, writer, admin = ([context.need(role)] for role in ("reader", "writer", "admin"))
    engine = context.ready_engine

    @router.put("/v1/users/{id}", dependencies=writer, summary="Embed a user now, from their features")
    def put_user(id: PathId, body: UserIn) -> UserView:
        """With the same code as in training: the next request for this user uses it. Replaces what was put before."""
        return engine().put_user(id, body.features, body.history)

    @router.get("/v1/users/{id}", dependencies=reader, summary="What is known of a user")
    def get_user(id: PathId) -> UserView:
        """404 for one that nothing is known of."""
        return engine().get_user(id)

    @router.delete("/v1/users/{id}", status_code=202, dependencies=writer, summary="Forget a user, everywhere")
    def forget(id: PathId) -> ForgetStatus:
        """Every read honours it at once; seeds, features, audiences and snapshots are purged within 24 hours.

        A tombstone stays (a keyed hash, not the id), so that late clicks, a restored backup or a new bundle do not
        bring the user back.
        """
        return engine().forget(id)

    @router.get("/v1/users/{id}/forget_status", dependencies=reader, summary="How far forgetting a user is")
    def forget_status(id: PathId) -> ForgetStatus:
        """`none` if nobody asked for it."""
        return engine().forget_status(id)

    @router.post("/v1/admin/users/{id}/recall", dependencies=admin, tags=["admin"], summary="Take forgetting back")
    def recall(id: PathId) -> ForgetStatus:
        """From now on the user's clicks count again; what was purged does not come back."""
        found = engine()
        found.recall(id)
        return found.forget_status(id)

    return router
