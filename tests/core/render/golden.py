"""What a target gives, as one text that can be read and compared: tests/golden/render/TARGET-HOST.txt."""

from __future__ import annotations

import os
from pathlib import Path

from warren.core.load import load
from warren.core.render.subject import findings, state_of
from warren.core.render.targets import renderer
from warren.core.render.tree import Rendered, filled
from warren.model.lock import Lock
from warren.model.network import Network

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "render"


def example(name: str) -> tuple[Network, Lock]:
    """Read one of the examples with its lock."""
    file = ROOT / "examples" / f"{name}.yaml"
    loaded = load(file.read_bytes(), file.with_suffix(".lock").read_bytes(), file.name)
    assert loaded.network is not None and loaded.lock is not None
    return loaded.network, loaded.lock


def rendered(example_name: str, host: str, target: str) -> Rendered:
    """Render a host of an example."""
    return renderer(target)(state_of(*example(example_name), host))


def as_text(made: Rendered) -> str:
    """Write what was rendered, with lines in the places of keys."""
    parts = []
    for file in made.files:
        shown = filled(file, [None] * len(file.secrets))
        parts.append(f"=== /{file.path} {file.mode:04o} {file.form.value}\n{shown.text}")
    told = [f"unsaid: {one}\n" for one in made.unsaid] + [f"step: {step}\n" for step in made.steps]
    return "\n".join(parts) + "\n" + "".join(told)


def check(example_name: str, host: str, target: str) -> None:
    """Compare with the golden text; UPDATE_GOLDEN=1 writes it anew."""
    network, lock = example(example_name)
    made = renderer(target)(state_of(network, lock, host))
    secrets = dict.fromkeys(secret for file in made.files for secret in file.secrets)
    told = "".join(f"{one}\n  hint: {one.hint}\n" for one in findings(network, host, target, made, secrets))
    text = as_text(made) + told
    path = GOLDEN / f"{target}-{example_name}-{host}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()
