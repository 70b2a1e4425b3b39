"""A network of one's own, for which nobody has to be root: a cable whose one end is the kernel's, with its TCP, and
whose other end is ours, with packets made by hand. So a test decides when each packet of a handshake arrives.

    the server on 127.0.0.1 -- kernel -- 10.1.0.1 =====veth===== Wire -- the clients, 10.1.0.2

A user namespace gives the capabilities, a network namespace something to use them on. Both go with the process.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import socket
import struct
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional

# What <linux/sched.h>, <linux/rtnetlink.h>, <linux/if_link.h>, <linux/veth.h> and their like say.
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
NLMSG_ERROR = 2
RTM_NEWLINK, RTM_NEWADDR, RTM_NEWNEIGH = 16, 20, 28
IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 3, 18, 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, NDA_DST, NDA_LLADDR = 1, 2, 1, 2
IFF_UP, NUD_PERMANENT, ETH_P_IP = 0x1, 0x80, 0x0800
SOL_PACKET, PACKET_STATISTICS = 263, 6

KERNEL_END, CLIENT_END = "kernel", "clients"
KERNEL_MAC = bytes.fromhex("020000000001")
# The clients' is not that of their end of the cable. So the kernel, which sees what arrives there as well, takes it
# for somebody else's, and does not answer what is meant for us.
CLIENT_END_MAC, CLIENT_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000003")
KERNEL_ADDRESS, CLIENT_ADDRESS = socket.inet_aton("10.1.0.1"), socket.inet_aton("10.1.0.2")
SERVER_ADDRESS = socket.inet_aton("127.0.0.1")
NETWORK_BITS = 24

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

# How a kernel, a container or a security module says that something is not to be had.
REFUSALS = {
    errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSYS, errno.ENOSPC, errno.EUSERS, errno.ENOENT, errno.ENODEV,
    errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT,
}  # fmt: skip


class NotJudged(Exception):
    """This machine refuses what the test needs, which is nobody's fault."""


@contextlib.contextmanager
def asking_for(what: str, *also: int) -> Iterator[None]:
    """Tells a refusal (REFUSALS, and the error numbers in `also`) from a fault of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in REFUSALS or error.errno in also:
            raise NotJudged(f"{what}: {error.strerror}") from error
        raise


def enter() -> None:
    """Moves this process, which must have only one thread, into a network of its own, and lays the cable.

    Inside it is user 1000, not root: so it has every capability there, but what it executes has none. A server that
    it starts is as poor as any user's.
    """
    user, group = os.geteuid(), os.getegid()
    with asking_for("a user and a network namespace", errno.EINVAL):  # EINVAL: the kernel was built without
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
    with asking_for("a user in the new namespace"):
        Path("/proc/self/setgroups").write_text("deny")  # or an ordinary user may not write gid_map
        Path("/proc/self/uid_map").write_text(f"1000 {user} 1")
        Path("/proc/self/gid_map").write_text(f"1000 {group} 1")
    with asking_for("rtnetlink"):
        kernel = Rtnetlink()
    with contextlib.closing(kernel):
        lay_cable(kernel)
    with asking_for("packets from outside to 127.0.0.1"):
        Path(f"/proc/sys/net/ipv4/conf/{KERNEL_END}/route_localnet").write_text("1")


def unshare(flags: int) -> None:
    """os.unshare() came with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Rtnetlink:
    """Asks the kernel for links and addresses, as ip(8) does, which not every machine has. See rtnetlink(7)."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def close(self) -> None:
        self.socket.close()

    def ask(self, what: int, body: bytes, flags: int = 0) -> None:
        header = struct.pack("=IHHII", 16 + len(body), what, NLM_F_REQUEST | NLM_F_ACK | flags, 0, 0)
        self.socket.send(header + body)
        _, kind, _, _, _, error = struct.unpack_from("=IHHIIi", self.socket.recv(65536))
        if kind != NLMSG_ERROR:  # an acknowledgement is an error, too: number 0
            raise RuntimeError(f"rtnetlink answers with a message of type {kind}")
        if error != 0:
            raise OSError(-error, os.strerror(-error))


def attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def link(index: int = 0, flags: int = 0) -> bytes:
    """struct ifinfomsg; the flags are set, none is cleared."""
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def named(name: str, mac: bytes) -> bytes:
    return attribute(IFLA_IFNAME, name.encode() + b"\0") + attribute(IFLA_ADDRESS, mac)


def lay_cable(kernel: Rtnetlink) -> None:
    """A pair of veth, and on the kernel's end an address: with it comes the route to the clients."""
    create = NLM_F_CREATE | NLM_F_EXCL
    peer = attribute(VETH_INFO_PEER, link() + named(CLIENT_END, CLIENT_END_MAC))
    veth = attribute(IFLA_INFO_KIND, b"veth") + attribute(IFLA_INFO_DATA, peer)
    with asking_for("a pair of veth"):
        kernel.ask(RTM_NEWLINK, link() + named(KERNEL_END, KERNEL_MAC) + attribute(IFLA_LINKINFO, veth), create)
    index = socket.if_nametoindex(KERNEL_END)
    with asking_for("an address on the veth"):
        address = attribute(IFA_LOCAL, KERNEL_ADDRESS) + attribute(IFA_ADDRESS, KERNEL_ADDRESS)
        kernel.ask(RTM_NEWADDR, struct.pack("=BBBBI", socket.AF_INET, NETWORK_BITS, 0, 0, index) + address, create)
    with asking_for("the network to be up"):
        for name in ("lo", KERNEL_END, CLIENT_END):
            kernel.ask(RTM_NEWLINK, link(socket.if_nametoindex(name), IFF_UP))
    with asking_for("a neighbour on the veth"):  # nobody at our end answers ARP
        neighbour = struct.pack("=BxxxiHBB", socket.AF_INET, index, NUD_PERMANENT, 0, 0)
        neighbour += attribute(NDA_DST, CLIENT_ADDRESS) + attribute(NDA_LLADDR, CLIENT_MAC)
        kernel.ask(RTM_NEWNEIGH, neighbour, create)


class Segment(NamedTuple):
    """What of a TCP segment (RFC 9293 §3.1) matters here, in either direction."""

    client_port: int
    server_port: int
    sequence: int
    acknowledged: int
    flags: int
    payload: bytes = b""


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def to_frame(segment: Segment) -> bytes:
    """From a client to the server: Ethernet, IPv4 (RFC 791) and TCP, none of them with options."""
    ports_and_numbers = segment[:4]
    tcp = struct.pack("!HHIIBBHHH", *ports_and_numbers, 5 << 4, segment.flags, 65535, 0, 0) + segment.payload
    pseudo_header = CLIENT_ADDRESS + SERVER_ADDRESS + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo_header + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, socket.IPPROTO_TCP, 0)
    ip += CLIENT_ADDRESS + SERVER_ADDRESS
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return KERNEL_MAC + CLIENT_MAC + struct.pack("!H", ETH_P_IP) + ip + tcp


def from_frame(frame: bytes) -> Optional[Segment]:
    """From the server to a client; None if it is something else. Its checksum is none yet: on a veth the kernel
    leaves that to hardware which is not there."""
    ip = frame[14:]
    if len(ip) < 20 or ip[9] != socket.IPPROTO_TCP or ip[16:20] != CLIENT_ADDRESS:
        return None
    tcp = ip[4 * (ip[0] & 0xF) : int.from_bytes(ip[2:4], "big")]
    server_port, client_port, sequence, acknowledged, offset, flags = struct.unpack_from("!HHIIBB", tcp)
    return Segment(client_port, server_port, sequence, acknowledged, flags, tcp[4 * (offset >> 4) :])


class Wire:
    """The clients' end of the cable."""

    def __init__(self) -> None:
        with asking_for("a packet socket"):
            # Protocol 0 takes nothing yet: else it would hear the loopback until it is bound.
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.bind((CLIENT_END, ETH_P_IP))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)  # or what a user may have
        self.socket.setblocking(False)
        self.frames_lost = 0
        self.receivers: dict[int, Callable[[Segment], None]] = {}

    def close(self) -> None:
        self.socket.close()

    def attach(self, receiver: Callable[[Segment], None]) -> int:
        """The port of a new client. None is used twice: whoever had it might still be written to."""
        port = 10000 + len(self.receivers)
        self.receivers[port] = receiver
        return port

    def send(self, segment: Segment) -> None:
        """What the kernel answers at once is received at once. So however busy this machine is, the answers never
        pile up in the socket's buffer, which holds some hundreds."""
        self.socket.send(to_frame(segment))
        self.receive()

    def receive(self) -> None:
        """All that has arrived."""
        while True:
            try:
                segment = from_frame(self.socket.recv(65536))
            except BlockingIOError:
                return
            if segment is not None and segment.client_port in self.receivers:
                self.receivers[segment.client_port](segment)

    def lost(self) -> int:
        """How many frames have found that buffer full."""
        _, since_last_asked = struct.unpack("=II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.frames_lost += since_last_asked
        return self.frames_lost


REPEAT_AFTER = 0.1  # seconds; TCP waits a whole one (RFC 6298)


class Client:
    """One TCP connection, made by hand. It sends nothing on its own account but the acknowledgement of what it has
    received, and that after `round_trip`: half of it for their packet, half for ours."""

    def __init__(self, wire: Wire, server_port: int, round_trip: float = 0.0):
        self.loop = asyncio.get_running_loop()
        self.wire = wire
        self.server_port = server_port
        self.round_trip = round_trip
        self.port = wire.attach(self.receive)
        self.sequence = 0  # of our next byte
        self.expected = 0  # of theirs
        self.connected_at = self.last_sent_at = 0.0
        self.answer = b""
        self.was_let_in = self.was_reset = self.was_ended = False  # by a SYN-ACK, a RST, a FIN
        self.has_acked = self.has_ended = False
        self.reply_after = 0.0
        self.has_reply: asyncio.Future[None] = self.loop.create_future()  # to our SYN
        self.is_over: asyncio.Future[None] = self.loop.create_future()

    def connect(self) -> None:
        self.connected_at = self.loop.time()
        self.send(SYN)
        self.loop.call_later(REPEAT_AFTER, self.repeat_syn)

    def repeat_syn(self) -> None:
        """As every TCP does. Very rarely a first packet that the kernel has in hand at the very instant of the refusal
        is dropped, and only the second is refused."""
        if not self.has_reply.done():
            self.wire.send(Segment(self.port, self.server_port, 0, 0, SYN, b""))

    def finish_handshake(self, first_bytes: bytes = b"") -> None:
        self.has_acked = True
        self.send(ACK)
        if first_bytes:
            self.ask(first_bytes)

    def ask(self, some_bytes: bytes) -> None:
        self.last_sent_at = self.loop.time()
        self.send(PSH | ACK, some_bytes)

    def send(self, flags: int, payload: bytes = b"") -> None:
        sequence = self.sequence
        self.sequence += len(payload) + bool(flags & (SYN | FIN))  # first: the reply may come before send() is back
        self.wire.send(Segment(self.port, self.server_port, sequence, self.expected, flags, payload))

    def receive(self, segment: Segment) -> None:
        if not self.has_reply.done():
            self.reply_after = self.loop.time() - self.connected_at
            self.has_reply.set_result(None)
        if segment.flags & RST:
            self.was_reset = True
            settle(self.is_over)
        elif segment.flags & SYN:
            self.was_let_in = True
            self.expected = segment.sequence + 1  # the same again, if the kernel has become impatient
        elif segment.payload or segment.flags & FIN:
            if segment.sequence == self.expected:
                self.take(segment)
            # Otherwise it is a repetition, or one before it was lost: this says what we expect.
            self.loop.call_later(self.round_trip, self.acknowledge)

    def take(self, segment: Segment) -> None:
        self.answer += segment.payload
        self.was_ended = bool(segment.flags & FIN)
        self.expected += len(segment.payload) + self.was_ended

    def acknowledge(self) -> None:
        if not self.was_ended or self.has_ended:
            self.send(ACK)
            return
        self.has_ended = True
        self.send(FIN | ACK)
        settle(self.is_over)


def settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
