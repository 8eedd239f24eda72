"""POST /v1/admin/bundle: another model, without a pause."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter

from kinfolk.errors import OptionError
from kinfolk.online.answers import ConflictError
from kinfolk.serve.context import Context
from kinfolk.serve.wire import BundleIn
from kinfolk.serve.wire_out import BundleOut


def routes(context: Context) -> APIRouter:
    """For admins."""
    router = context.router("admin", "admin")

    @router.post("/v1/admin/bundle", summary="Switch to another bundle")
    def swap_bundle(body: BundleIn) -> BundleOut:
        """Loads it beside the old one, rebuilds every snapshot from the kept seeds, then switches in one step.

        Answers when that is done, which takes as long as it takes; requests meanwhile finish on the old one.
        """
        return BundleOut(model=swap(context, allowed(context, body.path)))

    return router


def allowed(context: Context, path: str) -> Path:
    """A bundle's folder. Raises OptionError unless it lies below the root that the operator allows."""
    settings = context.settings
    root = settings.bundle_root or (settings.bundle.resolve().parent if settings.bundle else Path())
    try:
        found = (root / path).resolve()
        inside = root.resolve() in found.parents
    except (ValueError, OSError) as e:  # NUL characters, names beyond what the file system takes
        raise OptionError("the path of the bundle cannot be used", "name a folder below bundle_root") from e
    if not inside:
        raise OptionError("the bundle lies outside of bundle_root", "put it there, or set bundle_root")
    return found


def swap(context: Context, path: Path) -> str:
    """Switch; returns the version. Raises ConflictError while another switch is under way."""
    if not context.swapping.acquire(blocking=False):
        raise ConflictError("another switch of the bundle is under way", "wait until it is done")
    try:
        return context.ready_engine().swap(path)
    finally:
        context.swapping.release()
