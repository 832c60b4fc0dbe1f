package gateway

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/rejected"
)

func TestMadeUpNodesRaiseNoAlarmAboutRetiredKeys(t *testing.T) {
	t.Parallel()
	now := time.Now()
	f, o := newFuses(), FuseOptions{Share: 0.5, Window: time.Hour}
	note := func(name string, retired bool) (held, alarm bool) {
		return f.HoldNode("push.example.test", rejected.KeyOf("push.example.test", name), retired, o, now)
	}
	opened := make([]string, 30)
	for i := range opened {
		opened[i] = rand.Text()
		note(opened[i], false)
	}
	held := false
	for range 1000 {
		var alarm bool
		if held, alarm = note(rand.Text(), true); alarm {
			t.Fatal("made-up nodes raise the alarm")
		}
	}
	if !held {
		t.Error("so many retired nodes are believed to be dead")
	}
	held, alarm := false, false
	for _, name := range opened {
		held, alarm = note(name, true)
	}
	if !held || !alarm {
		t.Errorf("nodes that were opened before are retired: held is %v, and alarm %v", held, alarm)
	}
}
