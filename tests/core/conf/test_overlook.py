"""reload alters what the conf altered; what hooks and hands have done is not seen."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

from warren.core.conf.overlook import overlook
from warren.core.diff import diff
from warren.model.change import Change, DropPeer, PutPeer, SetLink
from warren.model.key import PublicKey, SecretRef
from warren.model.state import HostState, Peer, WgInterface

PEER = Peer(PublicKey("P"), (ip_network("10.5.0.0/16"),), keepalive=25)
BY_HAND = Peer(PublicKey("H"), (ip_network("10.66.0.0/24"),))
DEVICE = WgInterface("wg0", PublicKey("K"), SecretRef("/wg0.conf", "PrivateKey"), 51820, 7, 1420,
                     (ip_interface("10.0.0.2/24"),), (PEER,))  # fmt: skip
APPLIED = HostState("", "conf:wg0", interfaces=(DEVICE,))
# Somebody set the mark and the MTU, added an address and a peer, and lengthened the other peer's list.
TOUCHED = replace(
    DEVICE,
    fwmark=77,
    mtu=1300,
    addresses=(*DEVICE.addresses, ip_interface("10.7.0.1/24")),
    peers=(replace(PEER, allowed_ips=(*PEER.allowed_ips, ip_network("10.6.0.0/16"))), BY_HAND),
)


def state(**changes: object) -> HostState:
    return replace(APPLIED, interfaces=(replace(DEVICE, **changes),))  # type: ignore[arg-type]


def changes(desired: HostState, seen: WgInterface = TOUCHED, before: HostState | None = APPLIED) -> list[Change]:
    observed = replace(APPLIED, interfaces=(seen,))
    return [item.change for item in diff(desired, overlook(observed, before, desired), before)]


def test_an_unchanged_conf_changes_nothing() -> None:
    assert changes(APPLIED) == []


def test_what_the_conf_changed_is_changed_and_nothing_else() -> None:
    (change,) = changes(state(mtu=1380))
    assert isinstance(change, SetLink)
    assert (change.before.mtu, change.after.mtu) == (1300, 1380)
    assert change.before.fwmark == change.after.fwmark


def test_a_peer_the_conf_altered_is_put_and_one_it_dropped_goes() -> None:
    (put,) = changes(state(peers=(replace(PEER, keepalive=0),)))
    assert isinstance(put, PutPeer)
    assert put.peer.public_key == PEER.public_key
    (drop,) = changes(state(peers=()))
    assert drop == DropPeer("wg0", TOUCHED.peers[0])


def test_a_device_that_was_taken_down_is_brought_up_again() -> None:
    (change,) = changes(APPLIED, replace(DEVICE, mtu=0))
    assert isinstance(change, SetLink)


def test_a_key_that_a_hook_has_set_is_right() -> None:
    keyless = state(public_key=PublicKey(""), private_key=SecretRef(""))
    assert changes(keyless, before=keyless) == []
    assert changes(keyless, DEVICE, before=None) == []


def test_the_first_time_everything_declared_counts() -> None:
    """Nothing was declared before, so no value can have been somebody's wish."""
    assert changes(APPLIED, replace(DEVICE, mtu=1300), before=None) != []
