"""The interface, one file a subject; each hands on an `APIRouter`."""
