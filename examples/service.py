"""An ASGI service: POST a picture to /, get its digit. `uvicorn service:app` serves it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mnist_edge import MnistEdgeError, Predictor

MOST_BYTES = 10_000_000
predictor = Predictor.load()  # the bundle that is shipped; Predictor.load("model") takes yours


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer one request."""
    assert scope["type"] == "http"
    body, more = b"", True
    while more and len(body) < MOST_BYTES:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    said: dict[str, Any] = {"error": f"a picture has at most {MOST_BYTES} bytes"}
    status = 413
    if not more:
        try:  # in a thread, since the net would hold up the other requests
            answer = await asyncio.to_thread(predictor, body)
            status, said = 200, {"digit": answer.digit, "probability": answer.probability}
        except MnistEdgeError as error:
            status, said = 400, {"error": str(error)}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})
