"""How a host asks its router for a port: PCP (RFC 6887), NAT-PMP (RFC 6886), UPnP's Internet Gateway Device.

    mapper      one port at one router: which protocol, when to ask, to ask again, and to leave it alone
      asking    one question by PCP or NAT-PMP at a time, with the RFCs' patience     pcp, natpmp: their packets
      control   UPnP's steps: search, description, commands                           ssdp, igd, http: their texts
    epoch       whether a router has forgotten what it was told
    survey      which of the three a router speaks, for `warren netcheck`

Everything here is a machine without I/O; `daemon.mapped` has the sockets.
"""
