package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

// These tests let the servers of Redis fail while pushes flow. E2E_FAILOVER=20000 makes them longer.

func TestM35_APrimaryThatIsLostForGoodCostsNoAcceptedPush(t *testing.T) {
	t.Parallel()
	redis := redistest.StartSentinel(t, 2, nil)
	s := newSceneOn(t, 2, storesAt(sentinelLine(redis), "acknowledge replicas 1"))
	s.withstand(func() {
		primary := redis.Primary()
		primary.Kill()
		primary.Wipe()
	})
	for _, g := range s.gateways[1:] { // the other one is a new process
		g.wantLogged("another redis server is the primary")
	}
}

func TestM36_ANodeOfAClusterThatIsLostCostsNoAcceptedPush(t *testing.T) {
	t.Parallel()
	redis := redistest.StartCluster(t)
	s := newSceneOn(t, 2, storesAt(clusterLine(redis), "acknowledge replicas 1"))
	s.withstand(func() {
		const key = "{matrix_push:0}"
		lost := redis.Primary(key)
		lost.Kill()
		lost.Wipe()
		redis.Primary(key)
		lost.Restart() // the new primary needs a replica
	})
}

func TestM37_ASlotThatIsMovedCostsNoAcceptedPush(t *testing.T) {
	t.Parallel()
	redis := redistest.StartCluster(t)
	s := newSceneOn(t, 2, storesAt(clusterLine(redis), "acknowledge replicas 1"))
	s.withstand(func() {
		for shard := range 3 {
			key := fmt.Sprintf("{matrix_push:%d}", shard)
			for _, node := range redis.Nodes[:3] {
				if node != redis.Primary(key) {
					redis.Move(key, node)()
					break
				}
			}
		}
	})
}

func TestM38_ARedisThatRefusesConnectionsCostsNoAcceptedPush(t *testing.T) {
	t.Parallel()
	s := newSharedScene(t, 2, "?read_timeout=2s&write_timeout=2s", "acknowledge disk")
	s.withstand(func() {
		s.redis.Kill()
		s.untilAccepted(s.acceptedPushes() + 100) // what is delivered at once
		s.redis.Restart()
	})
}

// With acknowledge memory, a push that no replica has is lost with the primary, although it was answered with 200.
func TestM39_WithoutReplicasThatConfirmAFailoverLosesAcceptedPushes(t *testing.T) {
	t.Parallel()
	const pushes = 20
	redis := redistest.StartSentinel(t, 1, nil)
	s := newSceneOn(t, 2, storesAt(sentinelLine(redis), ""))
	var devices []device
	for n := range pushes {
		devices = append(devices, s.phoneOf("org.example.async", fmt.Sprint("phone", n)))
	}
	s.set(hasToWait, devices...)
	primary, replica := redis.Primary(), redis.Replicas()[0]
	resume := replica.Pause()
	if err := primary.Client().ClientKillByFilter(t.Context(), "TYPE", "replica").Err(); err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		wantStatus(t, s.alert(s.balanced(), "$1", d), http.StatusOK)
	}
	s.await("each push was refused once", func() bool {
		for _, d := range devices {
			if s.tried(d) == 0 {
				return false
			}
		}
		return true
	})
	primary.Kill()
	primary.Wipe()
	resume()
	redis.Primary()
	s.set(behaviour{}, devices...)
	again := s.phoneOf("org.example.async", "again")
	s.user(s.homeserver(s.gateways...), again).send("$2")
	s.awaitTaken(again, "$2")
	if r := s.report(); r.Count(checker.Lost) != pushes {
		t.Errorf("%d pushes are lost, want %d", r.Count(checker.Lost), pushes)
	}
}
