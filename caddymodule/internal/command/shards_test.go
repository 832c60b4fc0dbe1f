package command

import (
	"context"
	"errors"
	"testing"
)

func TestPushesAreMovedToTheShardsOfAConfiguration(t *testing.T) {
	move := func(n int, err error) PlannedStore {
		return PlannedStore{Module: "redis", Move: func(_ context.Context, tell func(int)) error {
			tell(n)
			return err
		}}
	}
	for _, tt := range []struct {
		name string
		box  PlannedStore
		code int
		want string
	}{
		{"some", move(12, nil), 0, "12 pushes moved. Load the configuration on all gateways now.\n"},
		{"one", move(1, nil), 0, "1 push moved."},
		{"it fails", move(1, errors.New("redis: shard 3: connection refused")), exitFailed, "redis: shard 3: connection refused"},
		{"there are no shards", PlannedStore{Module: "file"}, exitFailed, "the outbox file has no shards"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, config, closed := planned(t, Plan{Outbox: tt.box})
			w.run(t, "outbox", "move-shards", "--config", config).want(t, tt.code, tt.want)
			if !*closed {
				t.Error("the plan is not closed")
			}
		})
	}
	w, config, _ := planned(t, Plan{Outbox: move(3, nil)})
	w.run(t, "outbox", "move-shards", "--config", config, "--json").want(t, 0, `{"moved":3}`)
}
