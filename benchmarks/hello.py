"""The floor of `benchmarks.api`: a route of the same framework that does nothing."""

from fastapi import FastAPI, Response

hello = FastAPI(openapi_url=None)


@hello.get("/")
def answer() -> Response:
    """Answer with a word of JSON, in a thread of the pool like the routes that are measured."""
    return Response(b'{"hello":"world"}', media_type="application/json")
