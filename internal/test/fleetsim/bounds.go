package fleetsim

// Fill is how full an app's outbox gets while its push service is down, if each shard has room for its part of the bound.
type Fill struct {
	// First is which part of the bound was used when the first push was refused.
	First float64
	// Refused is which part of the pushes was refused when as many had been sent as the bound allows.
	Refused float64
}

// Fill fills the outbox of an app that all devices have. Devices get as many pushes as in a run. A push counts as refused if its shard
// has no room, and not if its device has none.
func (f *Fleet) Fill() (fill Fill) {
	b, by := f.bounds(), owner{1, 1}
	kept, refused := 0, 0
	for n := 1; kept+refused < f.o.PerApp; n++ {
		d := f.pick()
		s := f.shardOf(d).state
		got := s.accept(0, entry{id: pushID(n), event: eventID(n), device: d}, by, false, 0, b)
		switch {
		case got == accepted:
			kept++
		case s.room(0).entries < b.perApp:
		default:
			if refused == 0 {
				fill.First = float64(kept) / float64(f.o.PerApp)
			}
			refused++
		}
	}
	if refused == 0 {
		fill.First = 1
	}
	fill.Refused = float64(refused) / float64(f.o.PerApp)
	return fill
}
