package endpoint

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// machineTime is how long this machine's addresses are cached.
const machineTime = 10 * time.Second

// machine knows the addresses of this machine. It is safe for concurrent use.
type machine struct {
	now    func() time.Time
	lookUp func() ([]net.Addr, error) // as net.InterfaceAddrs

	mu      sync.Mutex
	looked  time.Time
	own     map[netip.Addr]struct{}
	failure error // of the latest attempt to read them
}

// has reports whether an address is one of this machine's. If the addresses cannot be read, those that were read last count.
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

// err returns why the addresses could not be read, or nil.
func (m *machine) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refresh()
	return m.failure
}

// refresh reads the addresses unless that was done recently. The caller holds mu.
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
