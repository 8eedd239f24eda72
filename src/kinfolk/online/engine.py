"""The live half as one object: `Engine`, what HTTP, a bus or a notebook talk to. A thin face over the files beside it.

Every method may be called from any thread. Each first catches up with what any process has written, so an acknowledged
write shows in the next answer of every process. Ids are the caller's own texts, times are milliseconds since 1970 UTC.
Raises KinfolkError: DataError and OptionError for what was given, NotFoundError and ConflictError for what is not
there or does not fit, StoreError where a store fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kinfolk.bundle import Bundle
from kinfolk.online import audiences, explain, feed, intake, members, people, shelf
from kinfolk.online.answers import (
    Accepted,
    AudienceView,
    CandidateView,
    Clusters,
    Estimate,
    Explanation,
    Feed,
    ForgetStatus,
    MemberPage,
    Ranked,
    SeedsAccepted,
    UserView,
)
from kinfolk.online.audiences import Question
from kinfolk.online.clock import Clock, system_clock
from kinfolk.online.deployment import Deployment
from kinfolk.online.forget import Purge
from kinfolk.online.options import EngineSettings
from kinfolk.online.ports import Backend, Json
from kinfolk.online.swap import Swaps
from kinfolk.online.work import Work


class Engine:
    """One process of a deployment.

    Args:
        backend: the stores.
        bundle: the model to start with; where the deployment has since moved on to another, that one is served.
        settings: how it behaves.
        clock: the time in ms.
    """

    def __init__(
        self, backend: Backend, bundle: Bundle, settings: EngineSettings | None = None, clock: Clock = system_clock
    ) -> None:
        self._d = Deployment(backend, bundle, settings or EngineSettings(), clock)
        self._swaps = Swaps(self._d)
        self._swaps.begin()
        self._purge = Purge(self._d, self._swaps.tidy)
        self._work = Work(self._d, self._swaps, self._purge)

    @property
    def settings(self) -> EngineSettings:
        """How it behaves."""
        return self._d.settings

    @property
    def backend(self) -> Backend:
        """The stores."""
        return self._d.backend

    # What comes in

    def post_clicks(
        self,
        users: Sequence[str],
        candidates: Sequence[str],
        times: Sequence[int | None],
        event_ids: Sequence[str | None] | None = None,
    ) -> Accepted:
        """Keep clicks: one value a click in each column; durable when this returns, all or none.

        Args:
            users, candidates: outside ids. Unknown users' clicks are kept and counted; an item that is no candidate
                becomes one if the settings say so, else the click is kept as the user's trail and a seed to be.
            times: ms, None is now; more than `max_ahead_ms` after the clock is refused.
            event_ids: identities of clicks, where they have one; else it is user, candidate and time.

        Raises:
            DataError: columns of different lengths, a bad id or time; the row is named and nothing is kept.
            OptionError: more than `max_batch`.
        """
        return intake.post_clicks(self._d, users, candidates, times, event_ids)

    def post_impressions(self, users: Sequence[str], candidates: Sequence[str], times: Sequence[int | None]) -> int:
        """Count who was shown what, for reports; returns how many counted. Errors as `post_clicks`."""
        return intake.post_impressions(self._d, users, candidates, times)

    def post_seeds(self, candidate: str, users: Sequence[str], now: int | None = None) -> SeedsAccepted:
        """Give a candidate seeds; it is created if need be and can be scored in the next request of any process.

        Raises:
            ConflictError: it is retired. DataError, OptionError: as `post_clicks`.
        """
        return intake.post_seeds(self._d, candidate, users, self._d.clock() if now is None else now)

    # Candidates

    def put_candidate(self, id: str, meta: Json | None = None, expires_at: int | None = None) -> CandidateView:
        """Create or replace a candidate, or bring a retired one back without its seeds.

        Raises:
            DataError: a bad id, an expiry that is not in the future.
        """
        return shelf.put(self._d, id, meta or {}, expires_at)

    def get_candidate(self, id: str) -> CandidateView:
        """A candidate, retired or not. Raises NotFoundError."""
        return shelf.get(self._d, id)

    def list_candidates(self, after: str = "", limit: int = 100) -> list[CandidateView]:
        """Live candidates, sorted by id, those after `after`."""
        return shelf.page(self._d, after, limit)

    def retire(self, ids: Sequence[str]) -> int:
        """Take candidates out of every answer for good, with their seeds; returns the version of the candidates.

        Raises:
            NotFoundError: one that does not exist; then none is retired.
        """
        return shelf.retire(self._d, ids)

    def clusters(self, candidate: str) -> Clusters:
        """The crowd of a candidate. Raises NotFoundError, or ConflictError if no seed has an embedding."""
        return explain.clusters(self._d, candidate)

    def candidate_audience(self, candidate: str, size: int) -> list[tuple[str, float]]:
        """(user, score) of the users most like a candidate's seeds, without these, best first, at once.

        Raises:
            NotFoundError, ConflictError: as `clusters`. OptionError: a size beyond `max_page`.
        """
        return audiences.candidate_audience(self._d, candidate, size)

    # One user

    def feed(self, user: str, n: int = 10, offset: int = 0, explain: bool = False) -> Feed:
        """The best live candidates of a user, by score blended with popularity where seeds are few.

        A user without an embedding gets them by popularity alone. Equal ones stand by id, so pages by offset join
        without gaps as long as nothing changes.

        Raises:
            OptionError: n or offset out of range.
        """
        return feed.feed(self._d, user, n, offset, explain)

    def rank(
        self, user: str, items: Sequence[tuple[str, float]], lam: float | None = None, explain: bool = False
    ) -> list[Ranked]:
        """(id, pctr) pairs by falling pctr · (1 + lam · score), an item without score by the list's mean.

        Raises:
            DataError: a pctr that is not a finite number of at least 0. OptionError: too many items, a bad lam.
        """
        return feed.rank(self._d, user, items, lam, explain)

    def explain(self, user: str, candidate: str) -> Explanation:
        """Every part of a score and of the feed's blend.

        Raises:
            NotFoundError: no such candidate, or the user has no embedding. ConflictError: no seed has one.
        """
        return explain.explain(self._d, user, candidate)

    def put_user(self, id: str, features: Mapping[str, object] | None = None, history: Sequence[str] = ()) -> UserView:
        """Keep what is known of a user and embed them with it from now on.

        Raises:
            DataError: a field that the model does not know, a value of another kind.
            ConflictError: the user asked to be forgotten.
        """
        return people.put_user(self._d, id, features or {}, history, self._d.clock())

    def get_user(self, id: str) -> UserView:
        """What is known of a user. Raises NotFoundError."""
        return people.get_user(self._d, id)

    def forget(self, user: str) -> ForgetStatus:
        """Forget a user everywhere: honoured by every answer of every process from now on, known or not."""
        return self._purge.forget(user, self._d.clock())

    def forget_status(self, user: str) -> ForgetStatus:
        """How far that is."""
        return self._purge.status(user)

    def recall(self, user: str) -> bool:
        """Take the wish back (an admin's explicit act); what was purged stays so. False if there was none."""
        return self._purge.recall(user)

    def audiences_of(self, user: str) -> list[str]:
        """Ids of ready audiences that hold the user."""
        return audiences.of_user(self._d, user)

    # Audiences

    def estimate(self, question: Question) -> Estimate:
        """How large an audience would be, without making it.

        Raises:
            TooFewSeedsError: fewer than `min_seeds` have an embedding.
            OptionError, DataError, NotFoundError: as `create_audience`. ConflictError: the candidate has no crowd.
        """
        return audiences.estimate(self._d, question)

    def create_audience(self, question: Question) -> AudienceView:
        """Ask for an audience; a background worker of some process makes it, whatever crashes meanwhile.

        Raises:
            OptionError: contradictory options. DataError: missing seeds with on_missing="error".
            TooFewSeedsError: fewer than `min_seeds` have an embedding; a worker looks again, for some may leave.
            NotFoundError: no such candidate.
        """
        return audiences.create(self._d, question)

    def audience(self, id: str) -> AudienceView:
        """Its state and facts. Raises NotFoundError."""
        return audiences.get(self._d, id)

    def list_audiences(self, after: str = "", limit: int = 100) -> list[AudienceView]:
        """Stored audiences, sorted by id, those after `after`."""
        return audiences.page(self._d, after, limit)

    def members(self, id: str, cursor: str | None = None, limit: int = 1000) -> MemberPage:
        """A page of its members, best first.

        Raises:
            NotFoundError. ConflictError: it is not ready. OptionError: a bad cursor or limit.
        """
        return members.members(self._d, id, cursor, limit)

    def members_parquet(self, id: str) -> Iterator[bytes]:
        """All its members as a parquet file (user_id, score), in pieces. Errors as `members`, at the call."""
        return members.members_parquet(self._d, id)

    def reach(self, id: str) -> list[tuple[int, float]]:
        """Points (size, least score in an audience of that size). Errors as `members`."""
        return members.reach(self._d, id)

    def delete_audience(self, id: str) -> None:
        """Remove it with its members. Raises NotFoundError."""
        audiences.delete(self._d, id)

    # Running it

    def swap(self, bundle_path: str | Path) -> str:
        """Serve another bundle: opened beside, crowds rebuilt from the kept seeds, switched in one step; its version.

        Raises:
            BundleError: not a bundle; the old one goes on.
        """
        return self._swaps.swap(bundle_path)

    @property
    def model(self) -> str:
        """Version of the bundle that is served."""
        return self._d.model.model

    def ready(self) -> tuple[bool, str]:
        """(whether a request would be answered now, why not)."""
        return self._work.ready()

    def stats(self) -> dict[str, float]:
        """Numbers for metrics; names in `work.stats`."""
        return self._work.stats()

    def refresh(self) -> int:
        """One turn as refresher, if elected and due; how many crowds were published."""
        return self._work.refresh()

    def start(self) -> None:
        """Start the background threads: refresher if elected, audience jobs, purges, expiries."""
        self._work.start()

    def stop(self) -> None:
        """Stop them, finish what they are at, hand over leases and write what was counted."""
        self._work.stop()
