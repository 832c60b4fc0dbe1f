package file

import "time"

// note is an event to remember.
type note struct {
	event [16]byte
	until time.Time
}

// note adds an event to the next transaction.
func (w *writer) note(n note) {
	w.mu.Lock()
	first := len(w.notes) == 0
	if len(w.notes) < maxNotes {
		w.notes = append(w.notes, n)
	}
	w.mu.Unlock()
	if first { // waking the writer for each would cost more than the note
		signal(w.noted)
	}
}

// vouch adds a vouch to one of the next transactions.
func (w *writer) vouch(key [16]byte, until time.Time) {
	w.mu.Lock()
	first := len(w.vouches) == 0
	if before, ok := w.vouches[key]; ok || len(w.vouches) < maxNotes {
		if until.After(before) {
			w.vouches[key] = until
		}
	}
	w.mu.Unlock()
	if first {
		signal(w.noted)
	}
}

// takeVouches takes the vouches to write, or only some of them unless all is set. The caller holds mu.
func (w *writer) takeVouches(all bool) map[[16]byte]time.Time {
	taken := w.vouches
	if all || len(taken) <= maxVouches {
		w.vouches = make(map[[16]byte]time.Time)
		return taken
	}
	taken = make(map[[16]byte]time.Time, maxVouches)
	for key, until := range w.vouches {
		if len(taken) == maxVouches {
			break
		}
		taken[key] = until
		delete(w.vouches, key)
	}
	signal(w.noted)
	return taken
}

// words are the notes and vouches that a transaction writes besides entries.
type words struct {
	notes   []note
	vouches map[[16]byte]time.Time
}

func (w *words) none() bool { return len(w.notes) == 0 && len(w.vouches) == 0 }

// keep leaves what could not be written to the next commit, as many notes and vouches as there is room for.
func (w *writer) keep(old words, removed []uint64) {
	if old.none() && len(removed) == 0 {
		return
	}
	w.mu.Lock()
	w.notes = append(old.notes, w.notes...)
	w.notes = w.notes[:min(len(w.notes), maxNotes)]
	for key, until := range old.vouches {
		if before, ok := w.vouches[key]; (ok || len(w.vouches) < maxNotes) && until.After(before) {
			w.vouches[key] = until
		}
	}
	w.removed, w.owed = append(removed, w.removed...), 0
	w.mu.Unlock()
	signal(w.noted)
}
