"""What an agent knows is written down now and then, whenever it is different, and not more often."""

from __future__ import annotations

from pathlib import Path

from warren.daemon.noting import ANEW, AT_MOST, Noting
from warren.lab.simulated import PORT, Node, World
from warren.model.key import PublicKey, encode_key
from warren.model.state import Peer
from warren.proto.states import State
from warren.sys.known import find


def peers_of(node: Node, world: World) -> dict[bytes, Peer]:
    others = [one.key.public for one in world.nodes if one is not node]
    return {key: Peer(PublicKey(encode_key(key)), (), name=f"node{at}") for at, key in enumerate(others)}


def test_it_is_written_when_it_differs_and_at_times(tmp_path: Path) -> None:
    world = World()
    a, b = world.node(), world.node()
    said: list[str] = []
    noting = Noting(str(tmp_path), "mesh", lambda kind, subject, says: said.append(says))
    file = tmp_path / "paths" / "mesh.json"
    world.start()

    noting.note(a.agent, peers_of(a, world), PORT, 0.0)
    found = find(tmp_path, "mesh")
    assert found is not None and found.alive
    assert [(one.name, one.state) for one in found.known.peers] == [("node0", State.ABSENT)]
    world.run(5, lambda: a.direct(b))
    before = file.stat().st_ino
    noting.note(a.agent, peers_of(a, world), PORT, AT_MOST / 2)
    assert file.stat().st_ino == before, "too soon"
    noting.note(a.agent, peers_of(a, world), PORT, AT_MOST)
    found = find(tmp_path, "mesh")
    assert found is not None and [one.state for one in found.known.peers] == [State.DIRECT]

    text = file.read_text()
    noting.note(a.agent, peers_of(a, world), PORT, 3 * AT_MOST)
    assert file.read_text() == text, "nothing is different"
    noting.note(a.agent, peers_of(a, world), PORT, ANEW + AT_MOST)
    assert file.read_text() != text, "only its time"
    noting.end()
    assert find(tmp_path, "mesh") is None and said == []


def test_trouble_is_told_once(tmp_path: Path) -> None:
    world = World()
    a = world.node()
    (tmp_path / "paths").write_text("in the way")
    said: list[str] = []
    noting = Noting(str(tmp_path), "mesh", lambda kind, subject, says: said.append(says))
    world.start()
    for second in range(40):
        noting.note(a.agent, {}, PORT, float(second))
    noting.end()
    assert len(said) == 1 and "cannot write" in said[0]
