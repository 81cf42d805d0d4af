"""Rollouts over HTTP: faults of a server, placement, and weights; on a scripted and on a real server."""

from __future__ import annotations

import asyncio
import importlib.util
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from aiohttp import web
from safetensors.torch import load_file
from support.loopback import LoopbackServer

from agents.learning.samples import Sampling
from agents.policies import http
from agents.policies.http import ServerRefusal, Servers
from agents.policies.server_policy import ServerPolicy, check_logprobs, connect
from agents.policies.transfer import FolderTransfer, WeightClient
from socratic_env.engine.background import run
from socratic_env.errors import ConfigurationError, StudentError

EOS = 2
WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1.5], dtype=torch.bfloat16)}
needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")

Reply = dict[str, Any] | web.StreamResponse | None
"""None: the connection breaks."""
Behaviour = Callable[[dict[str, Any], int], Awaitable[Reply]]


class StudentServer(LoopbackServer):
    """The routes of vLLM that a student's policy uses. It says 7 and the end, at -0.5 and -0.25.

    requests: (path, body) of all requests but those for the weights' version; changed: other behaviour of
    a path, given the body and how often the path was asked; workers: its world size; loaded, version: the
    weights of its last update, and their name.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.changed: dict[str, Behaviour] = {}
        self.workers, self.version = 1, "default"
        self.loaded: dict[str, torch.Tensor] = {}
        self._asked: Counter[str] = Counter()
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else {}
        path = request.path
        if path != "/weight_info":  # asked after every response
            self.requests.append((path, body))
        self._asked[path] += 1
        behave = self.changed.get(path, self._usual(path))
        reply = await behave(body, self._asked[path])
        if reply is None:
            assert request.transport is not None
            request.transport.abort()  # type: ignore[attr-defined]
            return web.Response()
        return web.json_response(reply) if isinstance(reply, dict) else reply

    def _usual(self, path: str) -> Behaviour:
        async def behave(body: dict[str, Any], times: int) -> Reply:
            if path == "/finish_weight_update":
                self.version = body["weight_version"]
            if path == "/update_weights" and "path" in body["update_info"]:
                self.loaded = load_file(body["update_info"]["path"])
            return {
                "/v1/models": {"data": [{"id": "m", "max_model_len": 64}]},
                "/get_world_size": {"world_size": self.workers},
                "/weight_info": {"weight_version": self.version},
                "/reset_prefix_cache": {"success": True},
                "/v1/completions": completion(body) if "prompt" in body else {},
            }.get(path, {})

        return behave


def completion(body: dict[str, Any], at_temperature: bool = True, **changes: Any) -> dict[str, Any]:
    scale = body["temperature"] if at_temperature else 1.0
    best = {"token_id:7": -0.5 / scale, "token_id:9": -2.5 / scale}
    choice = {
        "prompt_token_ids": body["prompt"],
        "token_ids": [7, EOS],
        "logprobs": {"token_logprobs": [-0.5, -0.25], "top_logprobs": [best, best]},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens_details": {"cached_tokens": 3}}
    return {"choices": [choice | changes], "usage": usage}


def status(code: int, message: str = "broken") -> web.Response:
    return web.json_response({"error": {"message": message}}, status=code)


async def hang(body: dict[str, Any], times: int) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


def always(reply: Callable[[dict[str, Any]], Reply]) -> Behaviour:
    async def behave(body: dict[str, Any], times: int) -> Reply:
        return reply(body)

    return behave


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def servers() -> Iterator[list[StudentServer]]:
    made = [StudentServer(), StudentServer()]
    yield made
    for server in made:
        server.stop()


@pytest.fixture
def server(servers: list[StudentServer]) -> StudentServer:
    return servers[0]


@pytest.fixture
def policy_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ServerPolicy]]:
    monkeypatch.setattr(http, "_FIRST_PAUSE_S", 0.01)
    made = []

    def make(*scripted: StudentServer, max_model_len: int = 64, **options: Any) -> ServerPolicy:
        servers = Servers([server.url for server in scripted], **options)
        client = WeightClient(servers)
        transfer = FolderTransfer(client, tmp_path / "sync")
        made.append(ServerPolicy(servers, client, transfer, WEIGHTS.items(), [EOS], max_model_len))
        return made[-1]

    yield make
    for policy in made:
        policy.close()


# -- servers that die and come back ----------------------------------------------------------------


async def gone(body: dict[str, Any], times: int) -> Reply:
    """The connection breaks."""
    return None


@pytest.mark.parametrize("way", ["gone", "started anew"])
def test_a_server_that_is_lost_leaves_its_requests_to_the_others_until_it_has_new_weights(
    servers: list[StudentServer], policy_of: Callable[..., ServerPolicy], way: str
) -> None:
    policy, (one, other) = policy_of(*servers, retries=0), servers
    if way == "gone":
        one.changed = dict.fromkeys(("/v1/completions", "/is_paused"), gone)
    else:
        one.version = "default"  # it answers, with the weights that it was started with
    prompts = [[4, number] for number in range(12)]
    assert [c.ids for c in policy.generate(prompts, Sampling(), seed=0)] == [[7, EOS]] * 12
    assert other.paths.count("/v1/completions") == 2 + 12
    asked = one.paths.count("/v1/completions")
    policy.generate(prompts, Sampling(), seed=1)
    assert one.paths.count("/v1/completions") == asked  # nothing more
    if way == "gone":
        policy.load_weights([("a", torch.ones(2))])
        assert (list(one.loaded), list(other.loaded)) == (["a", "b"], ["a"])
        one.changed.clear()
    policy.load_weights([("b", torch.ones(2))])
    assert one.version == other.version != "default"
    assert list(one.loaded) == ["b"]
    policy.generate(prompts, Sampling(), seed=2)
    assert one.paths.count("/v1/completions") > asked


def test_without_any_server_left_there_is_one_error(
    servers: list[StudentServer], policy_of: Callable[..., ServerPolicy]
) -> None:
    policy = policy_of(*servers, retries=0)
    for server in servers:
        server.version = "default"
    with pytest.raises(StudentError, match=r"holds the weights 'default' and was sent .*started anew"):
        policy.generate([[4, 5], [6, 7], [8, 9]], Sampling(), seed=0)
    for server in servers:
        server.changed["/is_paused"] = gone
    with pytest.raises(StudentError, match="is the server running"):
        policy.load_weights(WEIGHTS.items())


# -- start ---------------------------------------------------------------------------------------


def test_a_policy_sends_its_weights_before_it_samples(
    servers: list[StudentServer], policy_of: Callable[..., ServerPolicy], tmp_path: Path
) -> None:
    policy = policy_of(*servers)
    for server in servers:
        assert server.paths == [
            "/v1/models", "/is_paused", "/pause", "/start_weight_update", "/update_weights",
            "/finish_weight_update", "/reset_prefix_cache", "/resume", "/v1/completions", "/v1/completions",
        ]  # fmt: skip
        assert server.loaded.keys() == WEIGHTS.keys()
        assert all(torch.equal(server.loaded[name], WEIGHTS[name]) for name in WEIGHTS)
    policy.load_weights([("a", torch.zeros(2))])
    assert all(list(server.loaded) == ["a"] for server in servers)
    policy.close()
    assert list((tmp_path / "sync").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "behaviour", "remedy"),
    [
        ("/is_paused", always(lambda _: status(404)), "VLLM_SERVER_DEV_MODE=1"),
        ("/v1/models", always(lambda _: {"data": [{"id": "m", "max_model_len": 63}]}), "--max-model-len 64"),
        ("/v1/models", always(lambda _: {"models": []}), "no server of vLLM"),
        (
            "/v1/completions",
            always(lambda body: completion(body, at_temperature=False)),
            "--logprobs-mode processed_logprobs",
        ),
    ],
)
def test_an_option_that_a_server_lacks_is_named(
    server: StudentServer,
    policy_of: Callable[..., ServerPolicy],
    path: str,
    behaviour: Behaviour,
    remedy: str,
) -> None:
    server.changed[path] = behaviour
    with pytest.raises(ConfigurationError, match=remedy) as caught:
        policy_of(server)
    assert server.url in str(caught.value)


def test_a_server_that_is_not_there_is_named(policy_of: Callable[..., ServerPolicy]) -> None:
    gone = StudentServer()
    gone.stop()
    with pytest.raises(StudentError, match=rf"{gone.url}/v1/models: .*is the server running"):
        policy_of(gone)


def test_nccl_is_refused_where_it_cannot_work(server: StudentServer, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigurationError, match="--sync folder"):
        connect([server.url], "nccl", tmp_path, WEIGHTS.items(), [EOS], 64)


# -- requests ------------------------------------------------------------------------------------


def test_a_request_says_all_that_decides_a_response(
    server: StudentServer, policy_of: Callable[..., ServerPolicy]
) -> None:
    sampling = Sampling(0.7, top_p=0.9, max_tokens=5)
    (one,) = policy_of(server).generate([[4, 5, 6]], sampling, seed=3)
    assert (one.ids, one.logps, one.finished, one.cached_tokens) == ([7, EOS], [-0.5, -0.25], True, 3)
    _, body = server.requests[-1]
    assert body["prompt"] == [4, 5, 6]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.7, 0.9, 5)
    assert body["stop_token_ids"] == [EOS]
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0.0, 1.0)
    assert isinstance(body["seed"], int)


@pytest.mark.parametrize("code", [429, 500, 503, None])
def test_passing_faults_are_tried_again(
    server: StudentServer, policy_of: Callable[..., ServerPolicy], code: int | None
) -> None:
    policy = policy_of(server)
    before = len(server.requests)

    async def twice(body: dict[str, Any], times: int) -> Reply:
        if times > 4:  # two of them at the start
            return completion(body)
        return status(code) if code else None

    server.changed["/v1/completions"] = twice
    (one,) = policy.generate([[4, 5]], Sampling(), seed=0)
    assert one.ids == [7, EOS]
    assert len(server.requests) - before == 3


def test_a_fault_that_stays_ends_after_the_retries(
    server: StudentServer, policy_of: Callable[..., ServerPolicy]
) -> None:
    policy = policy_of(server, retries=2)
    before = len(server.requests)
    server.changed["/v1/completions"] = always(lambda _: status(500, "engine dead"))
    with pytest.raises(StudentError, match="HTTP 500: engine dead"):
        policy.generate([[4]], Sampling(), seed=0)
    assert len(server.requests) - before == 3


def test_a_refusal_is_final_and_ends_the_other_requests(
    server: StudentServer, policy_of: Callable[..., ServerPolicy]
) -> None:
    policy = policy_of(server)
    before = len(server.requests)

    async def some(body: dict[str, Any], times: int) -> Reply:
        return status(400, "too long") if body["prompt"] == [9] else await hang(body, times)

    server.changed["/v1/completions"] = some
    with pytest.raises(ServerRefusal, match="HTTP 400: too long"):
        policy.generate([[4], [5], [9]], Sampling(), seed=0)
    assert eventually(lambda: server.active == 0)
    assert len(server.requests) - before == 3


def test_one_deadline_for_all_tries(server: StudentServer, policy_of: Callable[..., ServerPolicy]) -> None:
    policy = policy_of(server, deadline_s=0.5)

    async def slow(body: dict[str, Any], times: int) -> Reply:
        return status(503, "not yet") if times == 3 else await hang(body, times)

    server.changed["/v1/completions"] = slow
    with pytest.raises(StudentError, match=r"no answer within 0\.5 s; before: .*not yet"):
        policy.generate([[4]], Sampling(), seed=0)
    assert eventually(lambda: server.active == 0)


def test_the_wait_for_a_connection_is_not_counted(
    server: StudentServer, policy_of: Callable[..., ServerPolicy]
) -> None:
    policy = policy_of(server, deadline_s=1.0, connections=2)

    async def slow(body: dict[str, Any], times: int) -> Reply:
        await asyncio.sleep(0.3)
        return completion(body)

    server.changed["/v1/completions"] = slow
    assert len(policy.generate([[4]] * 12, Sampling(), seed=0)) == 12


def test_connections_are_bounded_and_cancelling_leaves_no_request(
    server: StudentServer, policy_of: Callable[..., ServerPolicy]
) -> None:
    policy = policy_of(server, connections=4)
    server.changed["/v1/completions"] = hang

    async def cancelled() -> None:
        tasks = [asyncio.create_task(policy.complete([i], Sampling(), seed=i)) for i in range(32)]
        while server.active < 4:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(asyncio.wait_for(cancelled(), 20))
    assert server.peak == 4
    assert eventually(lambda: server.active == 0)
    del server.changed["/v1/completions"]
    assert len(policy.generate([[4]] * 9, Sampling(), seed=0)) == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt_token_ids": [4, 4]}, "read other ids"),
        ({"logprobs": {"token_logprobs": [-0.5]}}, "2 tokens came with 1 log-probabilities"),
        ({"logprobs": {"token_logprobs": [-0.5, None]}}, "log-probabilities"),
        ({"logprobs": None}, "no token ids and log-probabilities"),
        ({"token_ids": None}, "no token ids and log-probabilities"),
        ({"finish_reason": "abort"}, "broken off .*abort"),
    ],
)
def test_replies_that_are_not_exact_are_refused(
    server: StudentServer, policy_of: Callable[..., ServerPolicy], changes: dict[str, Any], message: str
) -> None:
    policy = policy_of(server)
    server.changed["/v1/completions"] = always(lambda body: completion(body, **changes))
    with pytest.raises(StudentError, match=message) as caught:
        policy.generate([[4, 5]], Sampling(), seed=0)
    assert server.url in str(caught.value)


def test_a_dialogue_stays_at_its_server_and_questions_spread(
    servers: list[StudentServer], policy_of: Callable[..., ServerPolicy]
) -> None:
    policy = policy_of(*servers)
    for server in servers:
        server.requests.clear()
    shared = [3] * 20  # the system prompt
    questions = [[*shared, 10 + i] for i in range(8)]
    first = [question for question in questions for _ in range(4)]
    second = [[*prompt, 7, EOS, 30 + i % 4] for i, prompt in enumerate(first)]
    for prompts in (first, second):
        policy.generate(prompts, Sampling(), seed=0)
    seen = [{body["prompt"][20] for _, body in server.requests} for server in servers]
    assert not seen[0] & seen[1]
    assert [len(questions) for questions in seen] == [4, 4]
    assert [len(server.requests) for server in servers] == [32, 32]


# -- weights -------------------------------------------------------------------------------------


def test_a_failed_update_is_told_and_leaves_the_server_paused(
    server: StudentServer, policy_of: Callable[..., ServerPolicy]
) -> None:
    policy = policy_of(server)
    server.requests.clear()
    server.changed["/update_weights"] = always(lambda _: status(500, "of another shape"))
    with pytest.raises(StudentError, match="HTTP 500: of another shape"):
        policy.load_weights(WEIGHTS.items())
    assert server.paths == ["/is_paused", "/pause", "/start_weight_update", "/update_weights"]


def test_prefixes_cached_under_old_weights_are_an_error(
    server: StudentServer, policy_of: Callable[..., ServerPolicy]
) -> None:
    policy = policy_of(server)
    server.changed["/reset_prefix_cache"] = always(lambda _: {"success": False})
    with pytest.raises(StudentError, match="old weights"):
        policy.load_weights(WEIGHTS.items())


def test_weights_that_cannot_be_written_are_an_error(server: StudentServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudentError, match=r"cannot be written .*--sync-folder"):
        connect([server.url], "folder", tmp_path / "file", WEIGHTS.items(), [EOS], 64)


def test_ranks_go_on_from_server_to_server(servers: list[StudentServer]) -> None:
    servers[0].workers = 4
    connections = Servers([server.url for server in servers])
    client = WeightClient(connections)
    client.init_weight_transfer_engine({"rank_offset": 1, "world_size": 7})
    client.init_weight_transfer_engine({})
    told = [
        [body["init_info"] for path, body in server.requests if path == "/init_weight_transfer_engine"]
        for server in servers
    ]
    assert told == [[{"rank_offset": 1, "world_size": 7}, {}], [{"rank_offset": 5, "world_size": 7}, {}]]
    run(connections.close())


@needs_vllm
def test_the_transfer_by_nccl_up_to_nccl(
    servers: list[StudentServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM's own trainer side against scripted servers; only what needs a GPU is replaced."""
    from vllm.distributed.weight_transfer import nccl_engine

    from agents.policies.nccl import NCCLTransfer

    groups, sent = [], []
    monkeypatch.setattr(nccl_engine, "open_trainer_endpoint", lambda info: groups.append(info) or object())
    monkeypatch.setattr(
        nccl_engine, "packed_nccl_broadcast_producer", lambda iterator, **_: sent.append(dict(iterator))
    )
    servers[0].workers = 2
    connections = Servers([server.url for server in servers])
    transfer = NCCLTransfer(WeightClient(connections))
    for scale in (1, 2):
        transfer.send([(name, scale * tensor) for name, tensor in WEIGHTS.items()])
    (group,) = groups
    assert (group.rank, group.world_size, group.master_address) == (0, 4, "127.0.0.1")
    assert [torch.equal(weights["a"], scale * WEIGHTS["a"]) for scale, weights in enumerate(sent, 1)] == [
        True
    ] * 2
    for server, offset in zip(servers, (1, 3), strict=True):
        update = ["/start_weight_update", "/update_weights", "/finish_weight_update"]
        rounds = [path for path in server.paths if path != "/get_world_size"]
        assert rounds == ["/init_weight_transfer_engine", *update, *update]
        bodies = dict(server.requests)
        told = nccl_engine.NCCLWeightTransferInitInfo(**bodies["/init_weight_transfer_engine"]["init_info"])
        assert (told.rank_offset, told.world_size, told.master_port) == (offset, 4, group.master_port)
        info = nccl_engine.NCCLWeightTransferUpdateInfo(**bodies["/update_weights"]["update_info"])
        assert info.names == ["a", "b"]
        assert info.dtype_names == ["float32", "bfloat16"]
        assert info.shapes == [[2, 3], [1]]
    run(connections.close())


# -- a real server -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tiny_student: Any, student_server: str, tmp_path_factory: Any) -> Iterator[ServerPolicy]:
    model, tokenizer, _ = tiny_student
    folder = tmp_path_factory.mktemp("sync")
    made = connect(
        [student_server], "folder", folder, model.named_parameters(), [tokenizer.eos_token_id], 512
    )
    yield made
    made.close()


@pytest.mark.slow
def test_the_second_attempt_finds_the_first_in_the_cache(real: ServerPolicy) -> None:
    prompt = list(range(10, 110))
    (first,) = real.generate([prompt], Sampling(max_tokens=16), seed=0)
    (second,) = real.generate([[*prompt, *first.ids, 5]], Sampling(max_tokens=16), seed=1)
    assert first.cached_tokens == 0
    assert second.cached_tokens >= 96


@pytest.mark.slow
def test_cancelled_requests_leave_a_real_server(real: ServerPolicy, student_server: str) -> None:
    def running() -> float:
        with urllib.request.urlopen(f"{student_server}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        names = ("vllm:num_requests_running{", "vllm:num_requests_waiting{")
        counts = [line for line in lines if line.startswith(names)]
        assert len(counts) == 2
        return sum(float(line.rpartition(" ")[2]) for line in counts)

    async def cancelled() -> None:
        endless = Sampling(max_tokens=400)
        tasks = [asyncio.create_task(real.complete([5] * 100, endless, seed=i)) for i in range(64)]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(cancelled())
    assert eventually(lambda: running() == 0)


@pytest.mark.slow
def test_weights_of_another_model_are_refused_and_right_ones_mend_it(
    real: ServerPolicy, tiny_student: Any
) -> None:
    weights = dict(tiny_student[0].named_parameters())
    before = real.generate([[5, 6, 7]], Sampling(0.0, max_tokens=8), seed=0)
    some = {name: weight for name, weight in weights.items() if "layers.1" not in name}
    with pytest.raises(StudentError, match=r"do not fit the served model.*missing"):
        real.load_weights(some.items())
    narrow = {name: weight[..., :8] for name, weight in weights.items()}
    with pytest.raises(StudentError, match="do not fit the served model"):
        real.load_weights(narrow.items())
    real.load_weights(weights.items())
    assert real.generate([[5, 6, 7]], Sampling(0.0, max_tokens=8), seed=0) == before


@pytest.mark.slow
def test_a_server_without_the_options_is_refused(
    tiny_student: Any, teacher_server: str, student_server: str, tmp_path: Path
) -> None:
    weights, eos = tiny_student[0].named_parameters(), [tiny_student[1].eos_token_id]
    with pytest.raises(ConfigurationError, match="VLLM_SERVER_DEV_MODE=1"):
        connect([student_server, teacher_server], "folder", tmp_path, weights, eos, 512)
    connections = Servers([student_server, teacher_server])
    run(check_logprobs(connections, 0, eos))
    with pytest.raises(ConfigurationError, match="--logprobs-mode processed_logprobs"):
        run(check_logprobs(connections, 1, eos))
    run(connections.close())
