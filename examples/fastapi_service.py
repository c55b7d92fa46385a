"""A web service on an asynchronous store, with FastAPI: ETags, idempotency, problem details.

    python examples/fastapi_service.py                              shows some requests and answers
    uvicorn --factory --app-dir examples fastapi_service:service    serves the table of the settings

It needs the packages fastapi and httpx, and uvicorn to serve. The user id is that of a verified
token; here it comes in the header X-User, so that the example has no tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import Body, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from thrivecalc_models import (
    AsyncDataStore,
    AsyncUnitOfWork,
    AsyncUserData,
    CommitError,
    ConflictError,
    InvalidRecordError,
    OutcomeUnknownError,
    RecordNotFoundError,
    SavingsGoal,
    SavingsGoalData,
    ServiceError,
    ThriveCalcError,
    to_json,
)

ANSWERS: dict[type[ThriveCalcError], tuple[int, str]] = {
    RecordNotFoundError: (404, "There is no such record"),
    ConflictError: (412, "The record has changed; read it again"),
    CommitError: (409, "The changes do not fit what is stored; read it again"),
    InvalidRecordError: (422, "Some fields are wrong"),
    OutcomeUnknownError: (503, "It is not known whether this was stored; send it again"),
    ServiceError: (503, "The table cannot be reached; try again"),
}
"""Status and title of a problem, by the error; the first class that fits counts."""


def current_user(request: Request, x_user: Annotated[str, Header()]) -> AsyncUserData:
    store: AsyncDataStore = request.app.state.store
    return store.user(x_user)


User = Annotated[AsyncUserData, Depends(current_user)]
Goal = Annotated[SavingsGoalData, Body()]


def service(store: AsyncDataStore | None = None) -> FastAPI:
    """Make the service, on a store that is given or on one of the settings."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with store or AsyncDataStore() as app.state.store:
            yield

    app = FastAPI(title="Savings goals", lifespan=lifespan)
    app.add_exception_handler(ThriveCalcError, problem)
    app.add_exception_handler(RequestValidationError, wrong_body)

    @app.get("/goals")
    async def list_goals(user: User) -> list[SavingsGoal]:
        return await user.list(SavingsGoal, order_by="-created_at", consistent=True)

    @app.post("/goals", status_code=201)
    async def add_goal(
        user: User, goal: Goal, response: Response, idempotency_key: Annotated[str, Header()]
    ) -> SavingsGoal:
        async with user.unit_of_work() as work:  # sent twice, it is stored once
            work.add(goal, record_id=idempotency_key, exist_ok=True)
        return tagged(await user.get(SavingsGoal, idempotency_key, consistent=True), response)

    @app.get("/goals/{goal_id}", response_model=None)
    async def read_goal(
        user: User, goal_id: str, if_none_match: Annotated[str | None, Header()] = None
    ) -> Response:
        record = await user.get(SavingsGoal, goal_id, consistent=True)
        unchanged = Response(status_code=304)
        if tagged(record, unchanged).version == unquoted(if_none_match):
            return unchanged
        return JSONResponse(to_json(record), headers={"etag": unchanged.headers["etag"]})

    @app.put("/goals/{goal_id}")
    async def change_goal(
        user: User, goal_id: str, goal: Goal, response: Response, if_match: Annotated[str, Header()]
    ) -> SavingsGoal:
        changed = await user.replace_data(
            SavingsGoal, goal_id, to_json(goal), if_version=unquoted(if_match)
        )
        return tagged(changed, response)

    @app.post("/transfers", status_code=204)
    async def transfer(user: User, order: Annotated[dict[str, Any], Body()]) -> None:
        async def move(work: AsyncUnitOfWork) -> None:
            giver = known(await work.get(SavingsGoal, order["from"]))
            taker = known(await work.get(SavingsGoal, order["to"]))
            giver.data.current_amount -= order["amount"]
            taker.data.current_amount += order["amount"]

        await user.run(move)  # both or none, and again after a conflict

    return app


def known(record: SavingsGoal | None) -> SavingsGoal:
    if record is None:
        raise RecordNotFoundError("there is no such goal")
    return record


def tagged(record: SavingsGoal | None, response: Response) -> SavingsGoal:
    """Give the answer the version of a record as its ETag."""
    found = known(record)
    response.headers["etag"] = f'"{found.version}"'
    return found


def unquoted(tag: str | None) -> str:
    return (tag or "").strip('"')


async def problem(request: Request, error: Exception) -> JSONResponse:
    """Answer an error of the library as problem details (RFC 9457)."""
    status, title = next(
        (said for cls, said in ANSWERS.items() if isinstance(error, cls)), (500, "It failed")
    )
    errors = error.errors if isinstance(error, InvalidRecordError) else {}
    return answer(status, title, {path: str(each) for path, each in errors.items()})


async def wrong_body(request: Request, error: Exception) -> JSONResponse:
    """Answer a body that does not fit, with every wrong field by its place."""
    assert isinstance(error, RequestValidationError)
    wrong = {".".join(map(str, each["loc"])): each["msg"] for each in error.errors()}
    return answer(422, "Some fields are wrong", wrong)


def answer(status: int, title: str, errors: dict[str, str]) -> JSONResponse:
    details: dict[str, Any] = {"type": "about:blank", "status": status, "title": title}
    if errors:
        details["errors"] = errors
    return JSONResponse(details, status_code=status, media_type="application/problem+json")


# --- a conversation -------------------------------------------------------------------------------


async def main() -> None:
    app = service(AsyncDataStore.local())
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        client.headers["x-user"] = "google-oauth2|123456789"

        async def ask(method: str, path: str, **options: Any) -> httpx.Response:
            reply = await client.request(method, path, **options)
            print(f"{method:4} {path:12} -> {reply.status_code} {reply.reason_phrase}")
            return reply

        fund = {"name": "Emergency Fund", "targetAmount": 20000, "currentAmount": 900}
        car = {"name": "New Car", "targetAmount": 9000}
        for name, goal in (("fund", fund), ("fund", fund), ("car", car)):
            await ask("POST", "/goals", json=goal, headers={"idempotency-key": name})
        tag = (await ask("GET", "/goals/fund")).headers["etag"]
        await ask("GET", "/goals/fund", headers={"if-none-match": tag})
        await ask("POST", "/transfers", json={"from": "fund", "to": "car", "amount": 250})
        await ask("PUT", "/goals/fund", json=fund, headers={"if-match": tag})
        wrong = await ask(
            "POST", "/goals", json={"targetAmount": "much"}, headers={"idempotency-key": "x"}
        )
        for path, words in wrong.json()["errors"].items():
            print("    ", path, "-", words)
        for record in (await ask("GET", "/goals")).json():
            print("    ", record["data"]["name"], record["data"]["currentAmount"])


if __name__ == "__main__":
    asyncio.run(main())
