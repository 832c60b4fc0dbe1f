package endpoint

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// machineTime is how old what is known of this machine's addresses may be.
const machineTime = 10 * time.Second

// machine knows the addresses of this machine. It is safe for concurrent use.
type machine struct {
	now    func() time.Time
	lookUp func() ([]net.Addr, error) // as net.InterfaceAddrs

	mu      sync.Mutex
	looked  time.Time
	own     map[netip.Addr]struct{}
	failure error // of the latest look
}

// has reports whether an address is one of this machine's. If these cannot be read, those count that were read last.
func (m *machine) has(ip netip.Addr) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh()
	_, ok := m.own[ip.Unmap().WithZone("")]
	return ok
}

// err is why the addresses could not be read, if so.
func (m *machine) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh()
	return m.failure
}

// refresh reads the addresses if that was not done lately. The caller holds mu.
func (m *machine) refresh() {
	now := m.now()
	if !m.looked.IsZero() && now.Sub(m.looked) < machineTime {
		return
	}
	m.looked = now
	list, err := m.lookUp()
	if m.failure = err; err != nil {
		return
	}
	m.own = make(map[netip.Addr]struct{}, len(list))
	for _, address := range list {
		network, ok := address.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(network.IP); ok {
			m.own[ip.Unmap()] = struct{}{}
		}
	}
}
