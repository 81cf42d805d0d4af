"""Graphics cards by name, as their makers' data sheets give them."""

from __future__ import annotations

from dataclasses import dataclass

from socratic_env.errors import unknown

GIB = 2**30


@dataclass(frozen=True)
class Gpu:
    """memory_gib: what a program finds there. tflops: products of bfloat16 with float32 sums, not sparse, in
    10^12 a second; tflops32: of float32, without TF32. bandwidth: of its memory, in 10^9 bytes a second;
    link: to another card of its node, in one direction."""

    memory_gib: float
    tflops: float
    tflops32: float
    bandwidth: float
    link: float


GPUS = {
    "b200-180": Gpu(178.0, 2250, 75, 8000, 900),
    "h200-141": Gpu(140.0, 989, 67, 4800, 450),
    "h100-80": Gpu(79.2, 989, 67, 3350, 450),
    "a100-80": Gpu(79.2, 312, 19.5, 2039, 300),
    "a100-40": Gpu(39.4, 312, 19.5, 1555, 300),
    "l40s-48": Gpu(44.5, 362, 91.6, 864, 25),
    "rtx5090-32": Gpu(31.4, 209.5, 104.8, 1792, 50),
    "rtx4090-24": Gpu(23.6, 165.2, 82.6, 1008, 25),
    "rtx3090-24": Gpu(23.6, 71, 35.6, 936, 25),
    "a10-24": Gpu(22.0, 125, 31.2, 600, 25),
    "l4-24": Gpu(22.0, 121, 30.3, 300, 25),
}


def gpu_of(name: str) -> Gpu:
    """A card by its name, such as "h100-80". Raises ConfigurationError if there is none."""
    if name not in GPUS:
        raise unknown("GPU", name, GPUS)
    return GPUS[name]
