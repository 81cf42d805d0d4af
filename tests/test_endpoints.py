"""What an endpoint reads, retries and refuses, and how its troubles are told: teacher and student alike."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import pickle
import ssl
import subprocess
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from aiohttp import web
from support.loopback import LoopbackServer
from support.misbehaving_server import GUIDANCE, MisbehavingServer, completion
from support.scripted import request_on

from socratic_env import SocraticBatch
from socratic_env.engine.background import run
from socratic_env.errors import (
    ConfigurationError,
    EndpointContextError,
    EndpointError,
    EndpointUnusable,
    StudentContextError,
    StudentError,
    StudentUnusable,
    TeacherContextError,
    TeacherFaultWarning,
    TeacherReplyError,
    TeacherUnavailable,
    TeacherUnusable,
)
from socratic_env.models import endpoint
from socratic_env.models.refusal import LONGEST_WORDS, asked_wait
from socratic_env.questions import load_questions
from socratic_env.students import StudentRequest
from socratic_env.students.openai_student import OpenAIStudent
from socratic_env.teachers import from_spec
from socratic_env.teachers.openai_teacher import OpenAITeacher
from socratic_env.teachers.retry_teacher import RETRY_PROMPT
from socratic_env.types import Guidance, StopReason

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::socratic_env.errors.TeacherFaultWarning"),
]

SCIENCE = load_questions("procedural", None, "train")
SECRET = "sk-very-secret-0123456789+/="
NOBODY = "http://127.0.0.1:9/v1"
VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSLKEYLOGFILE",
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses between tries, and no proxy but those of a test."""
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE_S", 0.01)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    one = MisbehavingServer()
    yield one
    one.stop()


def guided(url: str, model: str = "replies", **settings: Any) -> Guidance:
    async def go() -> list[Guidance]:
        teacher = OpenAITeacher(url, model, **settings)
        try:
            return await teacher.guide([request_on(SCIENCE[0])])
        finally:
            await teacher.close()

    (guidance,) = asyncio.run(asyncio.wait_for(go(), 30))
    return guidance


def answered(url: str, model: str = "replies", rollout: int = 0, **settings: Any) -> str:
    async def go() -> list[str]:
        student = OpenAIStudent(url, model, **settings)
        try:
            return await student.answer(
                [StudentRequest(SCIENCE[0], rollout, [{"role": "user", "content": "Which?"}])]
            )
        finally:
            await student.close()

    (text,) = asyncio.run(asyncio.wait_for(go(), 30))
    return text


def says(server: MisbehavingServer, *replies: Any, status: int = 200, **headers: str) -> MisbehavingServer:
    """The server replies these bodies, one after the other."""
    server.replies = [(status, headers, reply) for reply in replies]
    return server


# -- what is read ------------------------------------------------------------------------

PARTS = {
    "a text part": ([{"type": "text", "text": "Look."}], "Look."),
    "two": ([{"type": "text", "text": "Look"}, {"type": "text", "text": " there."}], "Look there."),
    "a thought before": (
        [{"type": "thinking", "thinking": "It is B."}, {"type": "text", "text": "Look."}],
        "Look.",
    ),
    "a thought of parts": (
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "It is B."}]},
            {"type": "text", "text": "Look."},
        ],
        "Look.",
    ),
    "thoughts in between": (
        [
            {"type": "text", "text": "Look"},
            {"type": "reasoning", "text": "B"},
            {"type": "redacted_thinking", "data": "B"},
            {"type": "output_text", "text": "."},
        ],
        "Look.",
    ),
    "a thought in the text": ([{"type": "text", "text": "<think>B</think>Look."}], "Look."),
}


@pytest.mark.parametrize("name", PARTS)
def test_text_parts_are_joined_and_thoughts_do_not_count(server: MisbehavingServer, name: str) -> None:
    content, text = PARTS[name]
    guidance = guided(says(server, completion(content)).url)
    assert (guidance.text, guidance.fault) == (text, None)


def test_a_student_reads_parts_too(server: MisbehavingServer) -> None:
    said = [
        {"type": "thinking", "thinking": "<answer>A</answer>"},
        {"type": "text", "text": "<answer>B</answer>"},
    ]
    assert answered(says(server, completion(said)).url).text == "<answer>B</answer>"
    assert answered(says(server, completion([])).url).text == ""


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ([{"type": "image_url", "image_url": {"url": "x"}}], "an object of type 'image_url'"),
        (
            [{"type": "text", "text": "Look."}, {"type": "tool_use", "id": "x"}],
            "an object of type 'tool_use'",
        ),
        ([{"type": "text", "text": None}], "an object of type 'text'"),
        ([{"text": "Look."}], "an object without a type"),
        (["Look."], "a bare text"),
        ([None], "null"),
        ([7], "a number"),
        ([[{"type": "text", "text": "Look."}]], "a list"),
        (7, "content that is a number"),
        (True, "content that is true or false"),
        ({"type": "text", "text": "Look."}, "content that is an object of type 'text'"),
        ({"text": "Look."}, "content that is an object without a type"),
    ],
)
def test_another_form_of_content_is_a_fault_that_names_it(
    server: MisbehavingServer, content: Any, named: str
) -> None:
    url = says(server, completion(content)).url
    guidance = guided(url)
    assert isinstance(guidance.fault, TeacherReplyError)
    assert named in str(guidance.fault)
    assert len(server.requests) == 1
    with pytest.raises(StudentError, match="answered with"):
        answered(url)


def test_a_refusal_as_a_part_is_a_refusal(server: MisbehavingServer) -> None:
    fault = guided(says(server, completion([{"type": "refusal", "refusal": "I cannot."}])).url).fault
    assert "refused to guide: 'I cannot.'" in str(fault)


# -- fields of the request ---------------------------------------------------------------


def test_any_field_can_be_left_out_changed_or_renamed(server: MisbehavingServer) -> None:
    guided(
        server.url,
        "good",
        request={"temperature": None, "max_tokens": None, "max_completion_tokens": 512, "top_k": 5},
    )
    answered(
        server.url,
        "good",
        rollout=3,
        seed=10,
        max_tokens=77,
        request={"top_p": None, "temperature": 1},
        rename={"max_tokens": "max_completion_tokens", "seed": "random_seed"},
    )
    answered(server.url, "good", request={"seed": None})
    teacher, student, seedless = (
        {name: value for name, value in body.items() if name not in ("model", "messages")}
        for body in server.requests
    )
    assert teacher == {"max_completion_tokens": 512, "top_k": 5}
    assert student == {"max_completion_tokens": 77, "temperature": 1, "random_seed": 13}
    assert seedless == {"temperature": 0.7, "top_p": 1.0, "max_tokens": 1024}


def test_a_spec_of_json_says_so_too(server: MisbehavingServer) -> None:
    text = '{"request": {"max_tokens": null, "n": 1}, "rename": {"temperature": "heat"}}'
    spec = {"kind": "openai", "base_url": server.url, "model": "good", **json.loads(text)}
    run(from_spec(spec).guide([request_on(SCIENCE[0])]))
    assert {"model", "messages", "heat", "n"} == set(server.requests[0])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"request": {"messages": []}}, "'messages' does not belong into request"),
        ({"request": {"api_key": SECRET}}, "'api_key' does not belong into request; .*api_key_env"),
        ({"request": {"stream": True}}, "'stream'"),
        ({"request": {"top_k": float("nan")}}, "are no JSON"),
        ({"request": {"stop": object()}}, "are no JSON"),
        ({"request": ["seed"]}, "request is .*; give a mapping"),
        ({"request": {1: 2}}, "request is .*; give a mapping"),
        ({"rename": {"max_token": "x"}}, "unknown field in rename .*did you mean 'max_tokens'"),
        ({"rename": {"max_tokens": ""}}, "rename of 'max_tokens' is ''"),
        ({"rename": {"max_tokens": "temperature"}}, "'temperature' twice"),
        ({"rename": {"max_tokens": "n"}, "request": {"n": 1}}, "'n' twice"),
        ({"extra_body": {}}, "extra_body.*its arguments are.*request"),
    ],
)
def test_fields_that_cannot_be_sent_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        from_spec({"kind": "openai", "base_url": NOBODY, "model": "m", **settings})
    assert SECRET not in str(caught.value)


def test_one_seed_for_all_samples_of_a_student_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="gives all samples the seed 5"):
        OpenAIStudent(NOBODY, "m", request={"seed": 5})


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "max_tokens"),
        ("'temperature' does not support 0.2 with this model.", "temperature"),
        (
            "max_tokens=8192 cannot be greater than max_model_len=4096. Request fewer output tokens.",
            "max_tokens",
        ),
    ],
)
def test_a_refused_field_has_a_hint(server: MisbehavingServer, words: str, field: str) -> None:
    fault = guided(says(server, {"error": {"message": words}}, status=400).url).fault
    assert type(fault) is TeacherUnavailable
    assert words in str(fault)
    assert f'request={{"{field}": null}}' in str(fault)


# -- the server's own words --------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no such thing"}},
        {"error": "no such thing"},
        {"message": "no such thing"},
        {"object": "error", "message": "no such thing", "code": 422},
        {"detail": "no such thing"},
        {"error": {"detail": {"message": "no such\n\tthing"}}},
        [{"error": {"message": "no such thing"}}],
        "no such thing",
    ],
)
def test_the_servers_own_words_are_kept(server: MisbehavingServer, body: Any) -> None:
    fault = guided(says(server, body, status=422).url).fault
    assert 'refused: HTTP 422: "no such thing"' in str(fault)


def test_a_page_in_place_of_json_is_told_by_its_title(server: MisbehavingServer) -> None:
    server.bodies["it"] = ("text/html", b"<html><title>403 Not &amp; here</title><p>long</p></html>")

    class Refusing(LoopbackServer):
        async def _handle(self, request: web.Request) -> web.StreamResponse:
            return web.Response(status=403, body=server.bodies["it"][1], content_type="text/html")

    refusing = Refusing()
    fault = guided(f"http://127.0.0.1:{refusing.port}/v1").fault
    refusing.stop()
    assert 'HTTP 403: "403 Not & here"' in str(fault)


def test_of_a_refused_value_its_place_is_told_and_not_the_value(server: MisbehavingServer) -> None:
    detail = [
        {"loc": ["body", "seed"], "msg": "extra fields not permitted", "input": {"messages": "the truth"}}
    ]
    fault = guided(says(server, {"detail": detail}, status=422).url).fault
    assert "body.seed: extra fields not permitted" in str(fault)
    assert "the truth" not in str(fault)


@pytest.mark.parametrize("form", ["{}", "Bearer {}", '"{}"', "x={}&y"])
@pytest.mark.parametrize("where", ["error", "code", "html"])
def test_words_are_bounded_and_hold_no_key(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch, form: str, where: str
) -> None:
    """A key stands where words are cut, too."""
    monkeypatch.setenv("SOME_KEY", SECRET)
    words = "wrong key " + form.format(SECRET) + " " + "long " * 80 + SECRET
    for pad in range(0, LONGEST_WORDS, 37):
        said = f"{'y' * pad} {words}"
        if where == "html":
            server.replies = [(401, {}, f"<p>{said}</p>")]
        else:
            server.replies = [
                (401, {}, {"error": {"message": said} | ({"type": SECRET} if where == "code" else {})})
            ]
        fault = guided(server.url, api_key_env="SOME_KEY").fault
        assert fault is not None
        told = [str(fault), repr(fault), pickle.dumps(fault).decode("latin-1")]
        try:
            raise fault
        except TeacherUnusable as error:
            told.append("".join(traceback.format_exception(error)))
        for text in told:
            assert SECRET[:8] not in text
        assert len(str(fault)) < LONGEST_WORDS + 300
    assert "see to the key in SOME_KEY" in str(fault)


@pytest.mark.parametrize("cut", range(8, len(SECRET) + 1, 4))
def test_a_key_that_the_server_cut_is_struck_too(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET)
    says(server, {"error": f"Incorrect key: {SECRET[:cut]}"}, status=500)
    assert 'HTTP 500: "Incorrect key: ***"' in str(
        guided(server.url, api_key_env="SOME_KEY", retries=0).fault
    )


# -- a prompt that is too long for the server ----------------------------------------------

TOO_LONG: dict[str, tuple[int, Any]] = {
    "openai": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4097 tokens. However, your messages "
                "resulted in 4301 tokens. Please reduce the length of the messages.",
                "type": "invalid_request_error",
                "code": "context_length_exceeded",
            }
        },
    ),
    "a code alone": (400, {"error": {"message": "no", "code": "context_length_exceeded"}}),
    "vllm": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 512 tokens. However, your prompt contains "
                "at least 513 input tokens, which exceeds this limit even without any output tokens.",
                "type": "BadRequestError",
                "code": 400,
            }
        },
    ),
    "vllm, the engine": (
        400,
        {"message": "The decoder prompt (length 999) is longer than the maximum model length of 512."},
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (4390 tokens) exceeds the available context size (4096 tokens), try "
                "increasing it",
                "type": "exceed_context_size_error",
            }
        },
    ),
    "llama.cpp, as its own fault": (
        500,
        {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}},
    ),
    "llama.cpp under 200": (
        200,
        {"error": {"code": 400, "message": "x", "type": "exceed_context_size_error"}},
    ),
    "sglang": (
        400,
        {
            "object": "error",
            "message": "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
            "code": 400,
        },
    ),
    "sglang, another": (
        400,
        {"message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens)."},
    ),
    "anthropic": (400, {"error": {"message": "prompt is too long: 208310 tokens > 200000 maximum"}}),
    "gemini": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (9) exceeds the maximum number of tokens allowed",
                }
            }
        ],
    ),
    "tgi": (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1700"}),
    "too large a body": (413, {"error": {"message": "Request Entity Too Large"}}),
    "too large a body without words": (413, {}),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_a_prompt_that_is_too_long_is_a_full_context(server: MisbehavingServer, name: str) -> None:
    status, body = TOO_LONG[name]
    url = says(server, body, status=status).url
    guidance = guided(url)
    assert type(guidance.fault) is TeacherContextError
    with pytest.raises(StudentContextError):
        answered(url)
    assert len(server.requests) == 2, "it is not tried again"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            400,
            "max_tokens=8192 cannot be greater than max_model_len=4096. Please request fewer output tokens.",
        ),
        (400, "the context of this request is missing"),
        (404, "no model with a context length of 4096"),
        (401, "this key may not use the long context window"),
        (429, "Request too large for model: too many tokens per minute"),
        (500, "internal error"),
    ],
)
def test_other_refusals_are_no_full_context(server: MisbehavingServer, status: int, words: str) -> None:
    guidance = guided(says(server, {"error": {"message": words}}, status=status).url, retries=0)
    assert isinstance(guidance.fault, TeacherUnavailable)


def test_an_episode_that_outgrows_the_teacher_ends_as_a_full_context(server: MisbehavingServer) -> None:
    status, body = TOO_LONG["vllm"]
    spec = {"kind": "openai", "base_url": says(server, body, status=status).url, "model": "replies"}
    for policy, stop in (("truncate", "context_limit"), ("retry_prompt", None)):
        env = gym.make("SocraticSciKnow-v0", teacher=spec, on_teacher_failure=policy)
        env.reset(seed=0)
        *_, truncated, info = env.step("I do not know.")
        assert (truncated, info["stop_reason"]) == (stop is not None, stop)
        assert info["teacher_fault"].startswith("TeacherContextError: ")
        env.close()


# -- errors inside a good status, and waits ----------------------------------------------

INSIDE: dict[str, tuple[Any, int, type[Exception]]] = {  # (body, how often it is asked with 2 retries, fault)
    "a passing code": ({"error": {"code": 429, "message": "busy"}}, 3, TeacherUnavailable),
    "a code as text": ({"error": {"code": "503", "message": "busy"}}, 3, TeacherUnavailable),
    "a code as a word": ({"error": {"code": "rate_limit_exceeded"}}, 3, TeacherUnavailable),
    "no code": ({"error": {"message": "overloaded"}}, 3, TeacherUnavailable),
    "a bare text": ({"error": "overloaded"}, 3, TeacherUnavailable),
    "in the choice": (
        {"choices": [{"error": {"code": 502, "message": "upstream"}, "message": {"content": "Loo"}}]},
        3,
        TeacherUnavailable,
    ),
    "beside no choices": ({"choices": [], "error": {"code": 500}}, 3, TeacherUnavailable),
    "no choices": ({"choices": []}, 3, TeacherReplyError),
    "null choices": ({"choices": None}, 3, TeacherReplyError),
    "a lasting code": ({"error": {"code": 400, "message": "bad field"}}, 1, TeacherUnavailable),
    "a lasting type": ({"error": {"type": "invalid_request_error"}}, 1, TeacherUnavailable),
    "an unknown key": ({"error": {"code": "invalid_api_key"}}, 1, TeacherUnusable),
    "an unknown model": ({"error": {"code": "model_not_found"}}, 1, TeacherUnusable),
    "an error object": ({"object": "error", "message": "no", "code": 404}, 1, TeacherUnusable),
}


@pytest.mark.parametrize("name", INSIDE)
def test_an_error_inside_a_good_status_is_tried_again_as_its_code_says(
    server: MisbehavingServer, name: str
) -> None:
    body, times, kind = INSIDE[name]
    fault = guided(says(server, body).url, retries=2).fault
    assert type(fault) is kind
    assert len(server.requests) == times


@pytest.mark.parametrize("name", [name for name, (_, times, _) in INSIDE.items() if times > 1])
def test_what_passes_is_forgotten(server: MisbehavingServer, name: str) -> None:
    guidance = guided(says(server, INSIDE[name][0], INSIDE[name][0], completion()).url)
    assert (guidance.text, guidance.fault) == (GUIDANCE, None)


def test_an_error_that_is_null_is_none(server: MisbehavingServer) -> None:
    assert guided(says(server, completion(error=None)).url).text == GUIDANCE


def test_retry_after_as_a_date(server: MisbehavingServer) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    server.replies = [(429, {"Retry-After": until}, {}), (200, {}, completion())]
    assert guided(server.url).usage.seconds >= 1
    server.replies = [
        (503, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)}, {})
    ]
    fault = guided(server.url, "replies:2", deadline_s=20).fault
    assert "would pass the deadline" in str(fault)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("2", 2.0),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3.0),
        ("Sunday, 06-Nov-94 08:49:40 GMT", 3.0),
        ("Sun Nov  6 08:49:40 1994", 3.0),
        ("Sun, 06 Nov 1994 09:49:40 +0100", 3.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("Sun, 99 Nov 1994 08:49:40 GMT", None),
        ("Sun, 06 Nov 1994", None),
        ("tomorrow at noon, as I said", None),
        ("", None),
    ],
)
def test_forms_of_a_retry_after(asked: str, seconds: float | None) -> None:
    """Dates are compared with the server's own clock."""
    headers = {"retry-after": asked, "date": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert asked_wait(headers) == seconds


# -- troubles of the connection, by their cause -------------------------------------------


def untrusted(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody knows."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


class Secure(MisbehavingServer):
    """The same behind TLS."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()
        self.url = f"https://127.0.0.1:{self.port}/v1"

    async def _start(self) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._count)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._context).start()
        return int(self._runner.addresses[0][1])


def test_tls_and_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: MisbehavingServer
) -> None:
    secure = Secure(untrusted(tmp_path))
    try:
        fault = guided(secure.url, "good").fault
        assert isinstance(fault, TeacherUnusable)
        assert "its certificate is not trusted" in str(fault)
        assert "SSL_CERT_FILE" in str(fault)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert guided(secure.url, "good").text == GUIDANCE
    finally:
        secure.stop()
    fault = guided(server.url.replace("http:", "https:"), "good").fault
    assert isinstance(fault, TeacherUnusable)
    assert "no TLS connection" in str(fault)
    assert "does the server speak https?" in str(fault)


@pytest.mark.parametrize(
    ("url", "variables", "told"),
    [
        (NOBODY, {}, ["connection refused", "is the server running, and is the port right?"]),
        ("http://localhost:9/v1", {}, ["connection refused"]),
        ("http://no-such-host.invalid/v1", {}, ["unknown host", "see to the host in base_url"]),
        (
            "http://127.0.0.1:1/v1",
            {"HTTP_PROXY": "http://user:sesame@127.0.0.1:9"},
            ["the proxy 127.0.0.1:9 cannot be reached: connection refused", "HTTP_PROXY", "NO_PROXY"],
        ),
        ("https://127.0.0.1:1/v1", {"https_proxy": "127.0.0.1:9"}, ["the proxy 127.0.0.1:9", "https_proxy"]),
        ("http://x.invalid/v1", {"ALL_PROXY": "http://127.0.0.1:9"}, ["the proxy 127.0.0.1:9", "ALL_PROXY"]),
        (
            NOBODY,
            {"HTTP_PROXY": "garbage"},
            ["the proxy garbage cannot be reached: unknown host", "HTTP_PROXY"],
        ),
    ],
)
def test_who_cannot_be_reached_is_told(
    monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], told: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    fault = guided(url, retries=1).fault
    assert isinstance(fault, TeacherUnusable)
    assert "2 times" in str(fault)
    assert "timed out" not in str(fault).lower()
    assert "sesame" not in str(fault)
    for words in told:
        assert words in str(fault)
    with pytest.raises(StudentUnusable):
        answered(url, retries=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "ftp://127.0.0.1:9"),
        ("http_proxy", "http://[::1"),
        ("HTTPS_PROXY", ":::"),
        ("ALL_PROXY", "garbage://user:sesame@host"),
        ("HTTP_PROXY", "http://user:sesame@127.0.0.1:99999"),
        ("HTTP_PROXY", "http://[x]:y"),
        ("SSL_CERT_FILE", "/missing"),
        ("SSL_CERT_FILE", __file__),
        ("SSLKEYLOGFILE", "/missing/keys"),
    ],
)
def test_a_variable_that_cannot_be_used_is_a_fault_that_names_it(
    monkeypatch: pytest.MonkeyPatch, server: MisbehavingServer, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    spec = {"kind": "openai", "base_url": server.url, "model": "good"}
    env = gym.make("SocraticSciKnow-v0", teacher=spec)
    env.reset(seed=0)
    *_, truncated, info = env.step("I do not know.")
    assert truncated
    assert name in info["teacher_fault"]
    assert "sesame" not in info["teacher_fault"]
    assert env.unwrapped.dialogue.stop is StopReason.TEACHER_FAILED
    env.close()


def test_whatever_the_client_raises_is_a_fault(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a defect of the client")

    monkeypatch.setattr(endpoint.openai.AsyncOpenAI, "post", broken)
    fault = guided(server.url, "good").fault
    assert isinstance(fault, TeacherUnavailable)
    assert "failed: ZeroDivisionError: a defect of the client" in str(fault)
    with pytest.raises(StudentError, match="a defect of the client"):
        answered(server.url, "good")


def test_what_met_earlier_tries_is_told_when_time_is_up(server: MisbehavingServer) -> None:
    server.replies = [(503, {}, {"error": "warming up"})]

    async def hang(request: web.Request, argument: str, times: int) -> web.StreamResponse:
        if times > 1:
            await asyncio.sleep(60)
        return web.json_response({"error": "warming up"}, status=503)

    server._replies = hang  # type: ignore[method-assign]
    fault = guided(server.url, deadline_s=1).fault
    assert "within 1 s; before: refused: HTTP 503" in str(fault)
    assert "warming up" in str(fault)


def test_close_reaches_connections_of_other_loops(server: MisbehavingServer) -> None:
    teacher = OpenAITeacher(server.url, "good")
    run(teacher.guide([request_on(SCIENCE[0])]))
    assert server.open_connections > 0
    asyncio.run(teacher.close())
    assert not teacher._endpoint._clients


# -- faults in the faces -----------------------------------------------------------------


def faulted(face: str, teacher: Any, **more: Any) -> tuple[list[str | None], list[str | None]]:
    """`teacher_fault` after reset and after a wrong attempt, in the infos of a face."""
    if face == "single":
        env = gym.make("SocraticSciKnow-v0", teacher=teacher, **more)
        before, after = [env.reset(seed=0)[1]], [env.step("I do not know.")[-1]]
        env.close()
    elif face == "batch":
        batch = SocraticBatch([SCIENCE[0]], teacher=teacher, **more)
        before = [batch.observe(0)[1]]
        after = [run(batch.step(0, "I do not know."))[-1]]
        batch.close()
    else:
        envs = gym.make_vec("SocraticSciKnow-v0", num_envs=8, teacher=teacher, **more)
        before, after = [envs.reset(seed=0)[1]], [envs.step(["I do not know."] * 8)[-1]]
        envs.close()
        return [each for info in before for each in info["teacher_fault"]], [*after[0]["teacher_fault"]]
    return [info["teacher_fault"] for info in before], [info["teacher_fault"] for info in after]


@pytest.mark.parametrize("policy", ["truncate", "retry_prompt"])
@pytest.mark.parametrize("face", ["single", "vector", "batch"])
def test_a_fault_is_told_in_info_and_warned_of_once(
    server: MisbehavingServer, face: str, policy: str
) -> None:
    spec = {
        "kind": "openai",
        "base_url": says(server, {"error": "no seat"}, status=403).url,
        "model": "replies",
    }
    with pytest.warns(TeacherFaultWarning) as warned:
        before, after = faulted(face, spec, on_teacher_failure=policy)
    assert set(before) == {None}
    for told in after:
        assert told is not None
        assert told.startswith("TeacherUnusable: ")
        assert f'{server.url} refused: HTTP 403: "no seat"' in told
    (one,) = [each for each in warned if each.category is TeacherFaultWarning]
    assert server.url in str(one.message)
    assert "no seat" in str(one.message)
    assert faulted(face, "retry")[1][0] is None


def test_a_fault_that_a_fixed_text_stands_for_is_written_down(server: MisbehavingServer) -> None:
    spec = {"kind": "openai", "base_url": says(server, {"error": "no"}, status=403).url, "model": "replies"}
    env = gym.make("SocraticSciKnow-v0", teacher=spec, on_teacher_failure="retry_prompt")
    env.reset(seed=0)
    *_, info = env.step("I do not know.")
    guidance = env.unwrapped.dialogue.attempts[0].guidance
    assert (info["guidance"], guidance.text, guidance.fault) == (RETRY_PROMPT, RETRY_PROMPT, None)
    assert isinstance(guidance.stands_for, TeacherUnusable)
    env.close()


@pytest.mark.parametrize("words", ["The right answer is {answer}.", "cannot read: {line}"])
def test_a_fault_never_tells_the_truth(server: MisbehavingServer, words: str) -> None:
    """The server repeats in its words what the prompt told it."""
    spec = {"kind": "openai", "base_url": server.url, "model": "replies"}
    env = gym.make("SocraticSciKnow-v0", teacher=spec, protocol="with_reference_solution")
    for seed in range(8):
        env.reset(seed=seed)
        question = env.unwrapped.question
        said = words.format(answer=question.answer, line=max(question.solution.splitlines(), key=len))
        server.replies = [(400, {}, {"error": said})]
        *_, info = env.step("I do not know.")
        assert info["teacher_fault"] == "TeacherUnavailable (its text may give the answer away)"
        assert said in str(env.unwrapped.dialogue.attempts[0].guidance.fault), "tools may read it"
    env.close()


def test_pettingzoo_tells_both_agents() -> None:
    multi_agent = pytest.importorskip("socratic_env.multi_agent")
    env = multi_agent.env(max_attempts=3)
    env.reset(seed=0)
    env.step("I do not know.")
    assert {info["teacher_fault"] for info in env.infos.values()} == {None}
    env.step(" ")
    told = {info["teacher_fault"] for info in env.infos.values()}
    assert told == {"TeacherReplyError: teacher_0 wrote no guidance"}


# -- hints -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "key", "path", "hint"),
    [
        (401, {"error": "who?"}, "", "", "no key was sent: SOME_KEY is empty"),
        (401, {"error": "who?"}, SECRET, "", "see to the key in SOME_KEY"),
        (403, {"error": "no"}, "", "", "no key was sent"),
        (
            404,
            {"error": {"message": "The model `replies` does not exist."}},
            "",
            "",
            "know the model as 'replies'",
        ),
        (404, {"detail": "Not Found"}, "", "", "see to the port and the path of base_url"),
    ],
)
def test_usual_causes_have_hints(
    server: MisbehavingServer,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: Any,
    key: str,
    path: str,
    hint: str,
) -> None:
    monkeypatch.setenv("SOME_KEY", key)
    fault = guided(says(server, body, status=status).url, api_key_env="SOME_KEY").fault
    assert isinstance(fault, TeacherUnusable)
    assert hint in str(fault)
    assert len(server.requests) == 1


def test_a_wrong_path_has_a_hint(server: MisbehavingServer) -> None:
    fault = guided(server.url.removesuffix("/v1"), "good").fault
    assert "base_url usually ends in '/v1', and this one does not" in str(fault)
    fault = guided(f"{server.url}/chat/completions", "good").fault
    assert "base_url ends before '/chat/completions'" in str(fault)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_a_real_server_is_understood(teacher_server: str) -> None:
    """What vLLM's server says to prompts that are too long, to too many tokens, and to a wrong name."""

    async def ask(model: str, words: int, **settings: Any) -> endpoint.Reply:
        client = OpenAIStudent(f"{teacher_server}/v1", model, retries=0, **settings)._endpoint
        try:
            return await client.ask([{"role": "user", "content": "water " * words}])
        finally:
            await client.close()

    def fault(*arguments: Any, **settings: Any) -> EndpointError:
        found = asyncio.run(ask(*arguments, **settings)).fault
        assert found is not None
        return found

    renamed = {"max_tokens": "max_completion_tokens"}
    assert asyncio.run(ask("teacher", 3, max_tokens=4, rename=renamed)).usage.completion_tokens <= 4
    assert asyncio.run(ask("teacher", 3, max_tokens=4, request={"seed": None, "top_p": None})).fault is None
    assert type(fault("teacher", 9000, max_tokens=4)) is EndpointContextError
    too_many = fault("teacher", 3, max_tokens=9000)
    assert "max_tokens" in str(too_many)
    assert 'request={"max_tokens": null}' in str(too_many)
    unknown = fault("nobody", 3, max_tokens=4)
    assert type(unknown) is EndpointUnusable
    assert "does it know the model as 'nobody'?" in str(unknown)
