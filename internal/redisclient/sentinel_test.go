package redisclient

import (
	"errors"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

func TestM05_SentinelsThatCannotBeUsedFailTheLoad(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 1, push, "user gateway on >"+secret+" ~* &* +@all", "user narrow on >"+secret+" +@connection")
	other := redistest.StartSentinel(t, 0, push)
	wrongName, withUser, wrongUser := sentinelAt(s.Addresses()...), sentinelAt(s.Addresses()...), sentinelAt(s.Addresses()...)
	wrongName.Sentinel.Master = "nobody"
	withUser.Sentinel.SentinelUsername, withUser.Sentinel.SentinelPassword = "gateway", secret
	wrongUser.Sentinel.SentinelUsername, wrongUser.Sentinel.SentinelPassword = "gateway", "wrong-"+secret
	narrow := sentinelAt(s.Addresses()...)
	narrow.Sentinel.SentinelUsername, narrow.Sentinel.SentinelPassword = "narrow", secret
	wrongPassword := sentinelAt(s.Addresses()...)
	wrongPassword.Sentinel.Password = "wrong-" + secret
	wantRefused(t, []refusal{
		{"a wrong name", wrongName, `the sentinels know no primary named "nobody": correct the name in the option sentinel`},
		{"a server in place of a sentinel", sentinelAt(s.Servers[0].Address), "is not a sentinel: write the addresses of the sentinels"},
		{"sentinels of different servers", sentinelAt(s.Sentinels[0].Address, other.Sentinels[0].Address), "the sentinels disagree: "},
		{"a wrong password at the sentinels", wrongUser, "correct the options sentinel_username and sentinel_password"},
		{"a user that may not ask the sentinels", narrow, "give the user the permissions in docs/redis.md"},
		{"a wrong password at the servers", wrongPassword, "disabled.: correct the options username and password"},
		{"a sentinel in place of a server", Address{URL: "redis://" + s.Sentinels[0].Address + "?read_timeout=5s"}, "ERR unknown command"},
		{"a replica", Address{URL: urlAt("redis", s.Replicas()[0].Address)}, "is a replica: write the address of the primary"},
	})
	for name, at := range map[string]Address{"all sentinels": sentinelAt(s.Addresses()...), "with a user for the sentinels": withUser} {
		if log, err := probeAt(t, at); err != nil || log != "" {
			t.Errorf("%s: error %v, log %s", name, err, log)
		}
	}

	t.Run("a sentinel that is down, or knows nothing, is logged", func(t *testing.T) {
		log, err := probeAt(t, sentinelAt("127.0.0.1:1", s.Sentinels[1].Address))
		if err != nil || !strings.Contains(log, `msg="a sentinel cannot be reached" sentinel=127.0.0.1:1`) {
			t.Errorf("error %v, log %s", err, log)
		}
		if err := other.Sentinels[1].Client().Do(t.Context(), "SENTINEL", "REMOVE", redistest.Master).Err(); err != nil {
			t.Fatal(err)
		}
		log, err = probeAt(t, sentinelAt(other.Sentinels[1].Address, s.Sentinels[1].Address))
		if err != nil || !strings.Contains(log, `msg="a sentinel does not know the primary"`) {
			t.Errorf("error %v, log %s", err, log)
		}
	})
	t.Run("sentinels that have not noticed a failover yet are logged", func(t *testing.T) {
		other.Servers[0].Kill()
		log, err := probeAt(t, sentinelAt(s.Sentinels[0].Address, other.Sentinels[0].Address))
		if err != nil && !Unreachable(err) || !strings.Contains(log, `msg="the sentinels name different primaries"`) {
			t.Errorf("error %v, log %s", err, log)
		}
	})
	t.Run("no sentinel is there", func(t *testing.T) {
		log, err := probeAt(t, sentinelAt("127.0.0.1:1"))
		if err != nil || !strings.Contains(log, "redis cannot be reached") {
			t.Errorf("error %v, log %s", err, log)
		}
	})
}

func TestM08_WithoutAPrimaryNothingIsSent(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, 0, push)
	c := loadAt(t, sentinelAt(s.Addresses()...))
	if err := c.Set(t.Context(), trialKey, "", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Servers[0].Kill()
	var err error
	eventually(t, "the connections are gone", func() bool {
		err = c.Set(t.Context(), trialKey, "", 0).Err()
		return err != nil && !MayHaveArrived(err)
	})
	for _, sentinel := range s.Sentinels {
		sentinel.Kill()
	}
	eventually(t, "the sentinels are gone", func() bool {
		err = c.Set(t.Context(), trialKey, "", 0).Err()
		var unsent notSent
		return errors.As(err, &unsent)
	})
	if !Unreachable(err) || MayHaveArrived(err) {
		t.Errorf("error %v, unreachable %v", err, Unreachable(err))
	}
}
