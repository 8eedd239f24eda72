"""What a public data set is and where it comes from: `About`. None of this data is shipped with kinfolk."""

from __future__ import annotations

from dataclasses import dataclass

from kinfolk.errors import DataError


@dataclass(frozen=True)
class About:
    """Args:
    name: as given to `load`.
    title: full name.
    source: where its publisher offers it.
    citation: what to cite.
    licence: its terms in short; read the publisher's text before use.
    files: names of the files a folder must hold, one entry for every layout that is understood.
    reading: what the reader makes of the files.
    limits: what must not be concluded from it.
    """

    name: str
    title: str
    source: str
    citation: str
    licence: str
    files: tuple[str, ...]
    reading: str
    limits: str

    def missing(self, directory: object, what: str) -> DataError:
        """The error for a folder that lacks `what`: names the file, the source, and the licence."""
        return DataError(
            f"{directory}: no {what}, plain, compressed, or in an archive",
            f"get {self.title} from {self.source} (licence: {self.licence}) and name the folder that holds "
            + ", or ".join(self.files),
        )
