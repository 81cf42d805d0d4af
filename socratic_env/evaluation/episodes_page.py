"""The episodes of a run or an evaluation as a page that filters, sorts and searches; whole, or live."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from socratic_env.errors import ConfigurationError, QuestionError, SocraticError
from socratic_env.evaluation.folder import FAULTS
from socratic_env.evaluation.stored_episodes import questions_of
from socratic_env.records.run_folder import EPISODES, episodes_of, read_lines, record_of

MOST = 5000
"""Episodes that a page holds; of more, the last ones."""
_AT_ONCE = 1 << 20
"""Bytes of episodes that the server hands over at once, and the rest of a line."""
_TEMPLATE = Path(__file__).with_name("episodes_page.html")


class Truths:
    """What is known of the questions of a folder's episodes; nothing where they cannot be loaded."""

    def __init__(self, folder: Path) -> None:
        self.missing: str | None = None
        """Why nothing is known."""
        try:
            self._questions = questions_of(folder)
        except (SocraticError, OSError) as error:
            self.missing = str(error)

    def of(self, records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str | None]]:
        """Question id -> {"subtask", "answer", "solution"}, without questions that are gone or ask something
        else now."""
        found: dict[str, dict[str, str | None]] = {}
        told = [] if self.missing else [record for record in records if "question_id" in record]
        asked = {record["question_id"]: record.get("question") for record in told}
        for name, text in asked.items():
            try:
                question = self._questions.find(name)
            except QuestionError:
                continue
            if question.text != text:
                continue
            option = next((f": {o.text}" for o in question.options if o.letter == question.answer), "")
            answer = f"{question.answer}{option} {question.unit}".strip()
            found[name] = {"subtask": question.subtask, "answer": answer, "solution": question.solution}
        return found


def episodes_page(folder: Path, step: int | None = None, most: int = MOST) -> str:
    """The self-contained page. step: that one only. Raises ConfigurationError if there are no episodes."""
    path = folder / EPISODES
    records = [] if not path.is_file() else episodes_of(path, step) if step is not None else _lines(path)
    kept: deque[dict[str, Any]] = deque(maxlen=most)
    seen = 0
    for record in records:
        kept.append(record)
        seen += 1
    if step in (None, 0):
        kept.extend(left := _open(folder, kept))
        seen += len(left)
    if not kept:
        of = "yet: no step has finished" if step is None else f"of step {step}"
        raise ConfigurationError(f"{folder} has no episodes {of}")
    truths = Truths(folder)
    return _page(
        {
            "name": folder.resolve().name,
            "episodes": list(kept),
            "left_out": seen - len(kept),
            "truths": truths.of(kept),
            "truths_missing": truths.missing,
        }
    )


def _lines(path: Path) -> Any:
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield record_of(line, path)


def _open(folder: Path, played: Any) -> list[dict[str, Any]]:
    """What faults have left open of an evaluation's episodes, and was not played since."""
    path = folder / FAULTS
    if not path.is_file():
        return []
    left = {(record["question_id"], record["sample"]): record for record in read_lines(path)}
    for record in played:
        left.pop((record["question_id"], record.get("sample")), None)
    return list(left.values())


def _page(data: Mapping[str, Any]) -> str:
    # No text of a student may end the script element that holds it.
    inside = json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return _TEMPLATE.read_text(encoding="utf-8").replace("{{DATA}}", inside)


def serve(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server on loopback that shows a folder's episodes, and those that a running run adds. Start it with
    `serve_forever`; port 0: a free one. Raises ConfigurationError if the port cannot be had."""
    path = folder / EPISODES
    truths = Truths(folder)
    empty = {"episodes": [], "left_out": 0, "truths": {}, "truths_missing": truths.missing}
    page = _page({"name": folder.resolve().name, **empty, "live": True, "next": 0})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if (self.headers.get("Host") or "").partition(":")[0] not in ("127.0.0.1", "localhost"):
                # A foreign site whose name was pointed here must not read what students said.
                self._send(HTTPStatus.FORBIDDEN, "text/plain", "ask 127.0.0.1 or localhost")
            elif asked.path == "/":
                self._send(HTTPStatus.OK, "text/html", page)
            elif asked.path == "/episodes":
                start = parse_qs(asked.query).get("from", ["0"])[0]
                if not start.isdecimal():
                    self._send(HTTPStatus.BAD_REQUEST, "text/plain", "from is a place in the file, such as 0")
                    return
                try:
                    more = episodes_from(path, int(start))
                    found = json.dumps({**more, "truths": truths.of(more["episodes"])})
                except (ConfigurationError, OSError) as error:
                    self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", str(error))
                    return
                self._send(HTTPStatus.OK, "application/json", found)
            elif asked.path == "/open":
                try:
                    found = json.dumps(_open(folder, ()))
                except (ConfigurationError, OSError) as error:
                    self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", str(error))
                    return
                self._send(HTTPStatus.OK, "application/json", found)
            else:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", "there is /, /episodes?from=0 and /open")

        def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a page asks every other second."""

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"--port {port} cannot be had: {error}; give another, or 0") from None


def episodes_from(path: Path, start: int) -> dict[str, Any]:
    """{"episodes", "next", "anew"}: whole records from a place in the file on, and the place to go on from.
    anew: no line begins at that place, since a resumed run has cut the file: all must be read again."""
    if not path.is_file():
        return {"episodes": [], "next": 0, "anew": start > 0}
    with path.open("rb") as file:
        file.seek(max(0, start - 1))
        if start and file.read(1) != b"\n":
            return {"episodes": [], "next": 0, "anew": True}
        lines = file.readlines(_AT_ONCE)
    whole = [line for line in lines if line.endswith(b"\n")]
    records = [record_of(line, path) for line in whole]
    return {"episodes": records, "next": start + sum(map(len, whole)), "anew": False}
