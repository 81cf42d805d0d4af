"""A student behind an OpenAI-compatible server on loopback: it answers from the dialogue."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from socratic_env.types import Question

Student = Callable[[Question, int], str]
"""(question, attempt from 1) -> reply."""


@contextmanager
def serve(questions: Sequence[Question], student: Student):
    """(base URL, requests so far) of a server that knows these questions by their text."""
    known = {question.text: question for question in questions}
    requests: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(body)
            said = [m for m in body["messages"] if m["role"] != "system"]
            attempt = 1 + sum(m["role"] == "assistant" for m in said)
            if _text(said[0]) not in known:
                self.send_error(400, "unknown question")
                return
            text = student(known[_text(said[0])], attempt)
            head = {"id": "c", "created": 0, "model": body["model"]}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            message = {"role": "assistant", "content": text}
            if body.get("stream"):
                chunk = head | {"object": "chat.completion.chunk"}
                parts = [
                    chunk | {"choices": [{"index": 0, "delta": message, "finish_reason": None}]},
                    chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                    chunk | {"choices": [], "usage": usage},
                ]
                lines = [*(json.dumps(part) for part in parts), "[DONE]"]
                self._send("text/event-stream", "".join(f"data: {line}\n\n" for line in lines))
            else:
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                whole = head | {"object": "chat.completion", "choices": [choice], "usage": usage}
                self._send("application/json", json.dumps(whole))

        def _send(self, kind: str, body: str) -> None:
            data = body.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)
