package outboxtest

import "github.com/matrix-push/caddy-matrix-push/outbox"

// about returns an entry of which only the newest is kept.
func about(what string, e outbox.Entry) outbox.Entry {
	e.Replace = what
	return e
}

func replaced(f *fixture) {
	f.accept(
		about("room !a", entry("a", "a1")), about("room !b", entry("a", "b1")), badge("a", "badge"), entry("a", "1"),
		about("room !a", entry("a", "a2")), about("room !", entry("a", "c1")), entry("a", "2"), about("room !a", entry("b", "other")),
	)
	f.settle(f.lease("b1", "other")[1].Ref())
	f.release(ref("a", "b1"), 0)
	f.reopen() // what an entry is about is kept
	f.accept(about("room !b", entry("a", "b2")))
	f.drain("badge", "1", "a2", "c1", "2", "b2")
}

func replacedUnderWay(f *fixture) {
	ran := running(about("room", entry("a", "2")))
	f.accept(about("room", entry("a", "1")))
	one := f.leaseOne("1", 0)
	f.accept(ran, about("room", entry("a", "3")), about("room", entry("a", "4")))
	f.settle(one)
	f.nothing()
	f.release(ran.Ref(), 0)
	f.drain("2", "4")
}

func released(f *fixture) {
	f.accept(entry("a", "1"))
	free := func(in int, tried bool) {
		f.Helper()
		if err := f.q.Release(f.Context(), ref("a", "1"), inAnHour(entry("a", "1")).Due, tried); err != nil {
			f.Fatalf("Release: %v", err)
		}
		f.track(ref("a", "1"), false)
		f.nothing()
		f.rouse()
		f.leaseOne("1", in)
	}
	f.leaseOne("1", 0)
	free(0, false)
	free(1, true)
	free(1, false)
	free(2, true)
	f.settle(ref("a", "1"))

	ran := running(entry("b", "2"))
	f.accept(ran)
	if err := f.q.Release(f.Context(), ran.Ref(), inAnHour(ran).Due, false); err != nil {
		f.Fatalf("Release: %v", err)
	}
	f.track(ran.Ref(), false)
	f.nothing()
	f.rouse()
	f.leaseOne("2", 0)
}
