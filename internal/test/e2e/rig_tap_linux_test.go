package e2e

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// tap sees each attempt to open a TCP connection in the namespace, to any address and port and by any process. The kernel gives it a copy
// of each packet before the packet is delivered. It proves that there was no connection.
type tap struct {
	t  *testing.T
	fd int
}

func newTap(t *testing.T) *tap {
	t.Helper()
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, syscall.ETH_P_ALL))
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, int(all))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, 64<<20); err != nil {
		// Only root may have such a large buffer. A smaller one is enough for one push.
		t.Logf("the tap has the usual room: %v", err)
	}
	return &tap{t, fd}
}

// connected returns the addresses of all attempts to connect since the last call. An attempt is recorded before the client knows its
// result.
func (tp *tap) connected() (list []netip.AddrPort) {
	tp.t.Helper()
	packet := make([]byte, 128)
	for {
		n, from, err := syscall.Recvfrom(tp.fd, packet, syscall.MSG_TRUNC)
		if errors.Is(err, syscall.EAGAIN) {
			return list
		}
		if err != nil {
			tp.t.Fatalf("the tap: %v", err)
		}
		if from.(*syscall.SockaddrLinklayer).Pkttype != syscall.PACKET_OUTGOING { // each packet is seen twice: when it leaves and when it arrives
			continue
		}
		if to, ok := connecting(packet[:min(n, len(packet))]); ok {
			list = append(list, to)
		}
	}
}

// connecting returns the address to which a packet opens a TCP connection, if it opens one (RFC 791, 8200 and 9293).
func connecting(packet []byte) (to netip.AddrPort, ok bool) {
	var ip netip.Addr
	var tcp []byte
	switch {
	case len(packet) >= 40 && packet[0]>>4 == 4 && packet[9] == syscall.IPPROTO_TCP:
		ip, tcp = netip.AddrFrom4([4]byte(packet[16:20])), packet[int(packet[0]&0xf)*4:]
	case len(packet) >= 60 && packet[0]>>4 == 6 && packet[6] == syscall.IPPROTO_TCP:
		ip, tcp = netip.AddrFrom16([16]byte(packet[24:40])), packet[40:]
	default:
		return netip.AddrPort{}, false
	}
	const syn, ack = 0x02, 0x10
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(tcp[2:])), tcp[13]&(syn|ack) == syn
}

// dial connects to an address itself, and reports whether a connection is possible at all. If the kernel refuses an address, there is no
// packet.
func (tp *tap) dial(address netip.AddrPort) bool {
	tp.t.Helper()
	conn, err := net.Dial("tcp", address.String())
	if err == nil {
		_ = conn.Close()
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}
