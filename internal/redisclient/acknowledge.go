package redisclient

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/redis/go-redis/v9"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

// Acknowledge says where a push must be before it counts as accepted. Without an option, that is the memory of the primary.
type Acknowledge struct {
	// Whether the push must be on the disk of the primary. That takes a server with `WAITAOF` (Valkey, or Redis 7.2 and later), or one with
	// `appendfsync always`. Default: false.
	Disk bool `json:"disk,omitempty"`

	// How many replicas must have the push in memory. A primary needs more replicas than that, or the gateway can't accept pushes while one is
	// down. Default: 0.
	Replicas int `json:"replicas,omitempty"`
}

// inMemory is what the option means if it is absent.
const inMemory = "memory"

const acknowledgeForm = "memory, disk, or replicas <number>"

// UnmarshalAcknowledge returns the option of a Caddyfile:
//
//	acknowledge memory|disk|replicas <number>
func UnmarshalAcknowledge(a *Acknowledge) caddyfileopt.Option {
	given := false
	return func(d *caddyfile.Dispenser) error {
		name, args := d.Val(), d.RemainingArgs()
		if given {
			return d.Errf("%s is given twice", name)
		}
		given = true
		switch {
		case len(args) == 1 && args[0] == inMemory:
		case len(args) == 1 && args[0] == "disk":
			a.Disk = true
		case len(args) == 2 && args[0] == "replicas":
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 1 {
				return d.Errf("%s: replicas: %q is not a number of at least 1", name, args[1])
			}
			a.Replicas = n
		default:
			return caddyfileopt.Args(d, name, acknowledgeForm)
		}
		return nil
	}
}

// Check returns an error if the options are not valid.
func (a Acknowledge) Check() error {
	switch {
	case a.Replicas < 0:
		return errors.New("replicas: must not be negative")
	case a.Disk && a.Replicas > 0:
		return errors.New("disk and replicas cannot be combined: set replicas, and appendfsync always at the servers")
	}
	return nil
}

// String returns the option as in a Caddyfile.
func (a Acknowledge) String() string {
	switch {
	case a.Disk:
		return "disk"
	case a.Replicas > 0:
		return "replicas " + strconv.Itoa(a.Replicas)
	default:
		return inMemory
	}
}

// isAsked reports whether the server must be asked for more than its answer.
func (a Acknowledge) isAsked() bool { return a != Acknowledge{} }

// confirmTime is how long a server may take to confirm writes. With appendfsync everysec, it writes to its disk once a second.
const confirmTime = 2 * time.Second

// ErrUnconfirmed means that the server did a write, but did not confirm it as it must.
var ErrUnconfirmed = errors.New("the write was not confirmed in time")

// method is how a server is asked whether writes are on its disk.
type method bool

const (
	// waitAOF waits for the disk.
	waitAOF method = false
	// settings reads whether the server waits for its disk before each answer. It is for servers without WAITAOF.
	settings method = true
)

// ask adds to a pipeline, after the writes, that the server confirms them.
func (a Acknowledge) ask(ctx context.Context, p redis.Pipeliner, how method) *redis.Cmd {
	switch {
	case a.Replicas > 0:
		return p.Do(ctx, "WAIT", a.Replicas, confirmTime.Milliseconds())
	case how == settings:
		return p.Do(ctx, "CONFIG", "GET", "append*")
	default:
		return p.Do(ctx, "WAITAOF", 1, 0, confirmTime.Milliseconds())
	}
}

// confirmed returns why the writes are not confirmed; nil if they are. The error is not one of the script, which was not refused.
func (a Acknowledge) confirmed(answer *redis.Cmd, how method) error {
	switch {
	case answer.Err() != nil:
		return fmt.Errorf("%w: %s", ErrUnconfirmed, answer.Err().Error())
	case a.Replicas > 0:
		if n, err := answer.Int(); err != nil || n < a.Replicas {
			return fmt.Errorf("%w: %d of %d replicas have it", ErrUnconfirmed, n, a.Replicas)
		}
	case how == waitAOF:
		if n, err := answer.Int64Slice(); err != nil || len(n) == 0 || n[0] < 1 {
			return fmt.Errorf("%w: it is not on the server's disk", ErrUnconfirmed)
		}
	default:
		return synced(answer)
	}
	return nil
}

// synced returns an error unless the server answers only when it has written to its disk.
func synced(answer *redis.Cmd) error {
	switch s := pairs(answer); {
	case s["appendonly"] != "yes":
		return fmt.Errorf("%w: the server has no append-only file", ErrUnconfirmed)
	case s["appendfsync"] != "always":
		return fmt.Errorf("%w: the server has no WAITAOF, and appendfsync is %s", ErrUnconfirmed, s["appendfsync"])
	}
	return nil
}

// pairs reads the answer of CONFIG GET.
func pairs(answer *redis.Cmd) map[string]string {
	values, _ := answer.StringSlice()
	found := make(map[string]string)
	for i := 0; i+1 < len(values); i += 2 {
		found[values[i]] = values[i+1]
	}
	return found
}
