"""How a typed state looks to other programs: nft, iptables, ip and wg, and a POSIX shell."""
