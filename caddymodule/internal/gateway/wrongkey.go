package gateway

import (
	"cmp"
	"slices"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

const (
	// maxWrongHosts bounds the hosts of an app at which devices have another key. maxWrongDevices bounds the devices that are counted
	// at one host.
	maxWrongHosts   = 64
	maxWrongDevices = 1000
	// maxWrongShown is how many of the hosts are shown.
	maxWrongShown = 5
	// wrongKeyAgain is how soon the same host is reported again. It is wrongKeyLater if the host takes the app's key from other
	// devices: then the clients must subscribe again, which takes a while.
	wrongKeyAgain = time.Minute
	wrongKeyLater = time.Hour
)

// WrongKeys are the devices at a host that subscribed with another key than the app's.
type WrongKeys struct {
	// Host is absent if all pushes of the app go to one service.
	Host string `json:"host,omitempty"`
	// Devices is how many there are, up to 1000.
	Devices int       `json:"devices"`
	Since   time.Time `json:"since"`
	// Accepted means that the host took a push for another device since the configuration was loaded, so the app's key has not been
	// lost.
	Accepted bool `json:"accepted,omitempty"`
}

// wrongKeys are the devices with another key by host, for one load of the app's configuration. Devices choose hosts, so both are
// bounded. A host whose devices are not evidence about the app makes way first. The zero value is ready to use; the table's lock guards
// it.
type wrongKeys struct {
	load  int64
	hosts map[string]*wrongAt
}

// wrongAt are the devices with another key at one host.
type wrongAt struct {
	since, reported time.Time
	devices         map[rejected.Key]bool // whether it is evidence about the app
	telling         int                   // how many are
}

// note counts a device. It returns how many there are at the host if that is to be reported now. If all of them are strangers, nothing is
// reported.
func (w *wrongKeys) note(host string, v *verdict, accepted bool, now time.Time) (report int) {
	if v.load < w.load {
		return 0 // an attempt of the configuration before
	}
	if v.load > w.load || w.hosts == nil {
		w.load, w.hosts = v.load, make(map[string]*wrongAt)
	}
	tells := v.tells(host)
	at := w.hosts[host]
	if at == nil {
		if len(w.hosts) >= maxWrongHosts && !w.makeRoom(tells) {
			return 0
		}
		at = &wrongAt{since: now, devices: make(map[rejected.Key]bool)}
		w.hosts[host] = at
	}
	if _, there := at.devices[v.key]; !there && len(at.devices) < maxWrongDevices {
		at.devices[v.key] = tells
		if tells {
			at.telling++
		}
	}
	again := wrongKeyAgain
	if accepted {
		again = wrongKeyLater
	}
	if !tells || !at.reported.IsZero() && now.Sub(at.reported) < again {
		return 0
	}
	at.reported = now
	return len(at.devices)
}

// makeRoom forgets the least important host, unless the new host is less important.
func (w *wrongKeys) makeRoom(tells bool) bool {
	least := ""
	for host, at := range w.hosts {
		if of := w.hosts[least]; of == nil || at.before(of) > 0 {
			least = host
		}
	}
	if w.hosts[least].telling > 0 && !tells {
		return false
	}
	delete(w.hosts, least)
	return true
}

// before orders hosts by how many of their devices are evidence about the app, then by the number of devices, then by age.
func (a *wrongAt) before(b *wrongAt) int {
	return cmp.Or(cmp.Compare(b.telling, a.telling), cmp.Compare(len(b.devices), len(a.devices)), a.since.Compare(b.since))
}

// took removes a device whose push a host took with the key of a load.
func (w *wrongKeys) took(host string, k rejected.Key, load int64) {
	at := w.hosts[host]
	if at == nil || load != w.load {
		return
	}
	if at.devices[k] {
		at.telling--
	}
	if delete(at.devices, k); len(at.devices) == 0 {
		delete(w.hosts, host)
	}
}

// wrongKeys returns the most important hosts at which devices have another key than that of a load.
func (h *hosts) wrongKeys(load int64) (list []WrongKeys) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wrong.load != load {
		return nil
	}
	names := make([]string, 0, len(h.wrong.hosts))
	for name := range h.wrong.hosts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(h.wrong.hosts[a].before(h.wrong.hosts[b]), cmp.Compare(a, b))
	})
	for _, name := range names[:min(len(names), maxWrongShown)] {
		at := h.wrong.hosts[name]
		one := h.find(name)
		list = append(list, WrongKeys{name, len(at.devices), at.since, one != nil && one.proof == load})
	}
	return list
}
