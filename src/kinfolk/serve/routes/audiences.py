"""/v1/audiences: who is most like a crowd; asked as a job that survives a restart, read by pages or as a file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Response, UploadFile
from starlette.responses import StreamingResponse

from kinfolk.online.answers import AudienceView, Estimate, MemberPage
from kinfolk.online.question import Question
from kinfolk.serve import upload
from kinfolk.serve.context import Context, PathId
from kinfolk.serve.wire import QuestionIn
from kinfolk.serve.wire_out import AudiencePage, AudiencesOfUser, ReachOut

PARQUET = "application/vnd.apache.parquet"
_CREATED: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "It is being worked on; ask at Location.",
        "headers": {"Location": {"required": True, "schema": {"type": "string"}, "description": "Of the audience."}},
    }
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Columns user_id and score, best first.",
        "content": {PARQUET: {"schema": {"type": "string", "format": "binary"}}},
    }
}


def routes(context: Context) -> APIRouter:
    """Reading for readers, making and deleting for writers."""
    router = context.router("audiences")
    reader, writer = [context.need("reader")], [context.need("writer")]
    engine = context.ready_engine

    def question_of(body: QuestionIn) -> Question:
        context.check_list(len(body.seeds or ()), "seeds")
        context.check_list(len(body.exclude), "excluded users")
        return Question(**{name: getattr(body, name) for name in type(body).model_fields})

    def create(question: Question, response: Response) -> AudienceView:
        made = engine().create_audience(question)
        response.headers["Location"] = f"/v1/audiences/{made.id}"
        return made

    @router.post(
        "/v1/audiences", status_code=202, dependencies=writer, responses=_CREATED, summary="Ask for an audience"
    )
    def create_audience(body: QuestionIn, response: Response) -> AudienceView:
        """Answered at once; the work goes on and survives a restart. Its seeds are those of this moment.

        Too few known seeds are refused; where too few are left when the work begins, it ends in `too_few_seeds`.
        """
        return create(question_of(body), response)

    @router.post(
        "/v1/audiences/upload",
        status_code=202,
        dependencies=writer,
        responses=_CREATED,
        summary="Ask for an audience of a file of seeds",
    )
    def upload_audience(
        response: Response,
        file: UploadFile,
        size: Annotated[int | None, Form(ge=1, le=2**31)] = None,
        percent: Annotated[float | None, Form(gt=0, le=100, allow_inf_nan=False)] = None,
        min_score: Annotated[float | None, Form(ge=-1000, le=1000, allow_inf_nan=False)] = None,
        reach: Annotated[Literal["narrow", "balanced", "broad"] | None, Form()] = None,
        include_seeds: Annotated[bool, Form()] = False,
        activity: Annotated[Literal["interest", "reach"], Form()] = "interest",
        on_missing: Annotated[Literal["ignore", "error"], Form()] = "ignore",
        name: Annotated[str, Form(max_length=256)] = "",
    ) -> AudienceView:
        """As POST /v1/audiences; the seeds are one id a line, or a `user_id` column of a csv or parquet file."""
        seeds = upload.read_ids(file.file, file.filename or "", upload.MOST)
        question = Question(
            seeds=seeds, size=size, percent=percent, min_score=min_score, reach=reach,
            include_seeds=include_seeds, activity=activity, on_missing=on_missing, name=name,
        )  # fmt: skip
        return create(question, response)

    @router.post("/v1/audiences/estimate", dependencies=reader, summary="How large an audience would be")
    def estimate(body: QuestionIn) -> Estimate:
        """Nothing is stored."""
        return engine().estimate(question_of(body))

    @router.get("/v1/audiences", dependencies=reader, summary="Stored audiences, sorted by id")
    def list_audiences(
        after: Annotated[str, Query(max_length=256, description="`next` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=100_000)] = 100,
    ) -> AudiencePage:
        """A page of them. An empty `after` starts from the first."""
        shown = engine().list_audiences(after, context.page_size(limit))
        return AudiencePage(audiences=shown, next=shown[-1].id if len(shown) == limit else None)

    @router.get("/v1/audiences/{id}", dependencies=reader, summary="An audience, how far it is, and its counts")
    def audience(id: PathId) -> AudienceView:
        """`state` is pending, running, ready, too_few_seeds or failed."""
        return engine().audience(id)

    @router.get("/v1/audiences/{id}/members", dependencies=reader, summary="Users of an audience, best first")
    def members(
        id: PathId,
        cursor: Annotated[str | None, Query(max_length=256, description="`next` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=100_000)] = 100,
    ) -> MemberPage:
        """A page of them; users who were forgotten since are gone."""
        return engine().members(id, cursor, context.page_size(limit))

    @router.get(
        "/v1/audiences/{id}/members.parquet",
        dependencies=reader,
        response_class=StreamingResponse,
        responses=_FILE,
        summary="All users of an audience as a parquet file",
    )
    def members_parquet(id: PathId) -> Response:
        """Columns user_id and score."""
        found = engine().members_parquet(id)
        headers = {"Content-Disposition": 'attachment; filename="members.parquet"'}
        if isinstance(found, bytes):
            return Response(found, media_type=PARQUET, headers=headers)
        return StreamingResponse(found, media_type=PARQUET, headers=headers)

    @router.get("/v1/audiences/{id}/reach", dependencies=reader, summary="Score against size")
    def reach(id: PathId) -> ReachOut:
        """The least score of audiences of sizes 1, 2, 5, 10 and so on, up to everybody."""
        return ReachOut(points=[(int(size), float(score)) for size, score in engine().reach(id)])

    @router.delete("/v1/audiences/{id}", status_code=204, dependencies=writer, summary="Delete an audience")
    def delete(id: PathId) -> None:
        """With its members."""
        engine().delete_audience(id)

    @router.get("/v1/users/{id}/audiences", dependencies=reader, summary="Audiences that hold a user")
    def of_user(id: PathId) -> AudiencesOfUser:
        """Ready ones."""
        return AudiencesOfUser(audiences=list(engine().audiences_of(id)))

    return router
