"""Saved models spoilt in every way a file can be, by seed."""

import hashlib
import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

Rng = np.random.Generator

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 3, 10**6, 10**9, 10**18, 10**400, -(10**30), 0.0, 0.5, -1.5, 1e308, 5e-324,
    float("nan"), float("inf"), "", "a", "1", "gru", "../../etc/passwd", "U1000000000", "O", "datetime64[ns]", "\x00",
    [], [1], ["x"], [None], [[]], [["x"]], [1] * 1000, {}, {"a": 1}, {"dtype": "text", "values": []}, "x" * 10_000,
]  # fmt: skip


def spoil(whole: Path, spoilt: Path, seed: int) -> None:
    """Write a spoilt copy of a saved model into an empty directory."""
    rng = np.random.default_rng(seed)
    files = {name: (whole / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    change = _CHANGES[int(rng.choice(len(_CHANGES), p=_OFTEN))]
    for _ in range(int(rng.integers(1, 4))):
        try:
            files = change(rng, files)
        except Exception:  # what is already spoilt cannot be read to be spoilt again
            break
    if rng.random() < 0.9:
        files = _with_its_digest(files)
    for name, content in files.items():
        (spoilt / name).write_bytes(content)
    if rng.random() < 0.05:
        _replaced_on_disk(rng, spoilt)


def _with_its_digest(files: dict[str, bytes]) -> dict[str, bytes]:
    """As one would who means harm: else nothing behind the digest would be tried."""
    digest = hashlib.sha256(files[WEIGHTS]).hexdigest().encode()
    return {**files, CONFIG: re.sub(rb'(?<="weights_sha256": ")[0-9a-f]{64}', digest, files[CONFIG])}


def _bytes(rng: Rng, files: dict[str, bytes]) -> dict[str, bytes]:
    name = _either(rng)
    content = bytearray(files[name])
    for place in rng.integers(0, len(content), int(rng.integers(1, 9))):
        content[place] ^= int(rng.integers(1, 256))
    return {**files, name: bytes(content)}


def _cut(rng: Rng, files: dict[str, bytes]) -> dict[str, bytes]:
    name = _either(rng)
    content = files[name]
    begin, end = np.sort(rng.integers(0, len(content), 2))
    parts = [content[:begin], content[begin:], content[:begin] + content[end:], content + content[begin:end]]
    return {**files, name: parts[int(rng.integers(len(parts)))]}


def _value(rng: Rng, files: dict[str, bytes]) -> dict[str, bytes]:
    """One value of the config replaced, dropped or doubled."""
    config = json.loads(files[CONFIG])
    holder, key = config, str(rng.choice([*config]))
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
        holder = holder[key]
        keys = [*holder] if isinstance(holder, dict) else range(len(holder))
        key = keys[int(rng.integers(len(keys)))]
    kind = rng.random()
    if kind < 0.1:
        del holder[key]
    elif kind < 0.2 and isinstance(holder, list):
        holder.append(holder[key])
    elif kind < 0.25 and isinstance(holder, dict):
        holder[str(rng.choice(["exec", "__class__", "dtype", "z" * 99]))] = "import os"
    else:
        holder[key] = ODD[int(rng.integers(len(ODD)))]
    return {**files, CONFIG: json.dumps(config).encode()}


def _bomb(rng: Rng, files: dict[str, bytes]) -> dict[str, bytes]:
    n = int(rng.integers(10, 50_000))
    bombs = [b"[" * n, b'{"a":' * n, b"[" * n + b"]" * n, b"9" * n, b'"' + b"a" * n, b"[" + b"[]," * n + b"[]]"]
    bomb = bombs[int(rng.integers(len(bombs)))]
    if rng.random() < 0.5:
        return {**files, CONFIG: bomb}
    return {**files, CONFIG: files[CONFIG].replace(b'"history": {', b'"history": ' + bomb + b', "x": {')}


def _array(rng: Rng, files: dict[str, bytes]) -> dict[str, bytes]:
    """One array gone, of another kind, shape or content; or one more."""
    arrays = load(files[WEIGHTS])
    name = str(rng.choice([*arrays]))
    old = arrays.pop(name)
    changed: list[Callable[[], Any]] = [
        lambda: None,
        lambda: old.astype(str(rng.choice(["float16", "float32", "float64", "int64", "uint8", "bool"]))),
        lambda: old.reshape(-1)[::-1].copy(),
        lambda: old[..., None].copy(),
        lambda: old[:-1].copy(),
        lambda: np.concatenate([old, old]),
        lambda: np.full_like(old, rng.choice([0, -1, 1]) if old.dtype.kind != "f" else rng.choice(_FLOATS)),
        lambda: np.zeros(0, old.dtype),
    ]
    with np.errstate(invalid="ignore", over="ignore"):
        new = changed[int(rng.integers(len(changed)))]()
    if new is not None:
        arrays[name if rng.random() < 0.9 else f"model.{name}"] = new
    return {**files, WEIGHTS: save(arrays)}


_FLOATS = [0.0, -1.0, 1e30, -1e38, 1e-40, np.nan, np.inf]


def _header(rng: Rng, files: dict[str, bytes]) -> dict[str, bytes]:
    """The header of the arrays: its size, or what it says of one."""
    content = files[WEIGHTS]
    (size,) = struct.unpack("<Q", content[:8])
    if rng.random() < 0.3:
        sizes = [0, 1, size - 1, size + 1, 10**8, 2**32, 2**63, 2**64 - 1]
        return {**files, WEIGHTS: struct.pack("<Q", sizes[int(rng.integers(len(sizes)))]) + content[8:]}
    header = json.loads(content[8 : 8 + size])
    part = header[str(rng.choice([k for k in header if k != "__metadata__"]))]
    odd: list[Any] = [
        [0, 2**62],
        [2**63, 2**63],
        [0, 0],
        [-1, 8],
        [10**12],
        [2**40, 2**40],
        "F32",
        "X9",
        [],
        None,
        10**30,
    ]
    part[str(rng.choice(["dtype", "shape", "data_offsets"]))] = odd[int(rng.integers(len(odd)))]
    text = json.dumps(header).encode()
    return {**files, WEIGHTS: struct.pack("<Q", len(text)) + text + content[8 + size :]}


def _replaced_on_disk(rng: Rng, spoilt: Path) -> None:
    """A file that is none, or is another's."""
    file = spoilt / _either(rng)
    elsewhere = spoilt.parent / "elsewhere"
    elsewhere.write_bytes(file.read_bytes())
    file.unlink()
    kind = rng.integers(5)
    if kind == 0:
        os.mkfifo(file)
    elif kind == 1:
        file.mkdir()
    elif kind == 2:
        file.symlink_to(elsewhere)
    elif kind == 3:
        file.symlink_to("/dev/zero")
    else:
        file.symlink_to(file.name)


def _either(rng: Rng) -> str:
    return CONFIG if rng.random() < 0.5 else WEIGHTS


_CHANGES = [_bytes, _cut, _value, _bomb, _array, _header]
_OFTEN = [0.2, 0.1, 0.35, 0.05, 0.2, 0.1]
