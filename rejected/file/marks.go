package file

import "github.com/matrix-push/caddy-matrix-push/rejected"

// marks has the marks of a shard's records. Few pushkeys are suspected, so only theirs take room for LookAt. The zero marks are empty and
// ready to use.
type marks struct {
	dead  map[rejected.Key]dead   // of all records
	looks map[rejected.Key]uint32 // LookAt, of those that are suspected
}

// dead is the part of a mark that verdicts make; zero if the pushkey is only suspected.
type dead struct{ condemned, probeAt uint32 }

func makeMarks(size int) marks { return marks{dead: make(map[rejected.Key]dead, size)} }

func (m *marks) len() int { return len(m.dead) }

func (m *marks) get(k rejected.Key) (mark rejected.Mark, ok bool) {
	d, ok := m.dead[k]
	if !ok {
		return rejected.Mark{}, false
	}
	mark = rejected.Mark{Condemned: d.condemned, ProbeAt: d.probeAt}
	if len(m.looks) > 0 {
		mark.LookAt = m.looks[k]
	}
	return mark, true
}

// put stores a mark, or removes the key if the mark is empty.
func (m *marks) put(k rejected.Key, mark rejected.Mark) {
	if mark == (rejected.Mark{}) {
		m.remove(k)
		return
	}
	if m.dead == nil {
		m.dead = make(map[rejected.Key]dead)
	}
	m.dead[k] = dead{mark.Condemned, mark.ProbeAt}
	if mark.LookAt == 0 {
		delete(m.looks, k)
		return
	}
	if m.looks == nil {
		m.looks = make(map[rejected.Key]uint32)
	}
	m.looks[k] = mark.LookAt
}

func (m *marks) remove(k rejected.Key) {
	delete(m.dead, k)
	delete(m.looks, k)
}
