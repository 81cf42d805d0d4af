"""Calls at once through the OpenAI teacher, beside bare aiohttp, the client's default transport and
the ideal: a loopback server in a process of its own answers each after a fixed time.

Run: python benchmarks/bench_openai.py [--calls 512] [--seconds 0.05] [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import aiohttp
import openai
from aiohttp import web

from socratic_env import TeacherRequest
from socratic_env.dialogue import Rules, answer, open_dialogue
from socratic_env.protocols import protocol, teacher_messages
from socratic_env.questions import load_questions
from socratic_env.teachers.openai_teacher import OpenAITeacher

MODEL = "m"
REPLY = {"choices": [{"message": {"role": "assistant", "content": "Look."}, "finish_reason": "stop"}]}


def serve(seconds: float, ready: Connection) -> None:
    async def reply(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(seconds)
        return web.json_response(REPLY)

    async def forever() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", reply)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        ready.send(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        await asyncio.Event().wait()

    asyncio.run(forever())


async def timed(rounds: int, call: Callable[[], Awaitable[object]]) -> list[float]:
    """Wall times of the rounds, after a first one that opens the connections."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        await call()
        times.append(time.perf_counter() - start)
    return times[1:]


async def measure(url: str, calls: int, rounds: int) -> dict[str, list[float]]:
    questions = load_questions("procedural", None, "train")
    requests = [
        TeacherRequest(answer(open_dialogue(questions[i]), "I do not know.", Rules()), protocol("paper"))
        for i in range(calls)
    ]
    chats = [teacher_messages(request.dialogue, request.protocol) for request in requests]
    times: dict[str, list[float]] = {}

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def bare(chat: object) -> None:
            body = {"model": MODEL, "messages": chat}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                assert (await response.json())["choices"]

        times["bare aiohttp"] = await timed(rounds, lambda: asyncio.gather(*map(bare, chats)))

    teacher = OpenAITeacher(url, MODEL, concurrency=calls)

    async def teach() -> None:
        assert all(guidance.text == "Look." for guidance in await teacher.guide(requests))

    times["OpenAITeacher"] = await timed(rounds, teach)
    await teacher.close()

    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=300) as client:

        def plain(chat: object) -> Awaitable[object]:
            return client.chat.completions.create(model=MODEL, messages=chat)  # type: ignore[call-overload]

        times["openai client, default transport"] = await timed(
            min(rounds, 2), lambda: asyncio.gather(*map(plain, chats))
        )
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=512, help="calls at once, and the cap")
    parser.add_argument("--seconds", type=float, default=0.05, help="what the server takes for each")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds after a warm one")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    args = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(args.seconds, theirs), daemon=True
    )
    server.start()
    try:
        times = asyncio.run(measure(ours.recv(), args.calls, args.rounds))
    finally:
        server.terminate()
    rows = {"ideal": [args.seconds], **times}
    if args.json:
        print(json.dumps(rows))
        return
    print(f"{args.calls} calls at once, {args.seconds * 1000:g} ms each: seconds of wall time\n")
    print(f"| {'':32} | median | best  | beside the ideal | beside bare aiohttp |")
    print(f"|{'-' * 34}|-------:|------:|-----------------:|--------------------:|")
    base = statistics.median(times["bare aiohttp"])
    for name, each in rows.items():
        median = statistics.median(each)
        ratios = f"{median / args.seconds:15.1f}x | {median / base:18.1f}x"
        print(f"| {name:32} | {median:6.3f} | {min(each):.3f} | {ratios} |")


if __name__ == "__main__":
    main()
