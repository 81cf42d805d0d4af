"""Run an adapter's tests with a framework that fits no common environment.

    python tests/frameworks/run.py verl

The environment is `.venv-<framework>` in the checkout. It is built when it is missing or its requirements
have changed, by the uv beside this Python or on PATH, from `<framework>.txt` and the package itself; the
framework is installed without its dependencies, which ask for GPU builds. On the CPU only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FRAMEWORKS = {
    "openenv": ("openenv-core==0.3.0", "openenv_server.py"),
    "openrlhf": ("openrlhf==0.11.0", "openrlhf_agent.py"),
    "verl": ("verl==0.9.0", "verl_loop.py"),
}
TOOLS = ("hypothesis>=6.100", "pytest>=8", "pytest-timeout>=2.3")


def build(name: str, framework: str) -> Path:
    """The environment's Python, built if need be. Exits with the reason if that fails."""
    place, requirements = ROOT / f".venv-{name}", HERE / f"{name}.txt"
    python, stamp = place / "bin" / "python", place / ".requirements"
    parts = (requirements.read_text(), (ROOT / "pyproject.toml").read_text(), framework, *TOOLS)
    wanted = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        raise SystemExit("error: no uv beside this Python or on PATH; pip install uv")
    env = {"UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", ""), **os.environ}  # uv reads no pip settings
    shutil.rmtree(place, ignore_errors=True)
    _call([uv, "venv", "--quiet", "--python", sys.executable, str(place)], env)
    overrides = place / "overrides.txt"
    overrides.write_text("triton; sys_platform == 'never'\n")  # no CPU backend
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    _call([*install, "--override", str(overrides), "-r", str(requirements), *TOOLS, "-e", str(ROOT)], env)
    _call([*install, "--no-deps", framework], env)
    stamp.write_text(wanted)
    return python


def _call(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} failed with status {done.returncode}\n{done.stderr}")


def main() -> int:
    """Build, run, say how long both took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("framework", choices=sorted(FRAMEWORKS))
    name = parser.parse_args().framework
    framework, tests = FRAMEWORKS[name]
    start = time.monotonic()
    python = build(name, framework)
    built = time.monotonic()
    path = os.pathsep.join(str(folder) for folder in (ROOT, HERE.parent, HERE))  # for worker processes
    env = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
    status = subprocess.run([python, "-m", "pytest", "-q", HERE / tests], cwd=ROOT, env=env).returncode
    print(f"{framework}: environment {built - start:.0f} s, tests {time.monotonic() - built:.0f} s")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
