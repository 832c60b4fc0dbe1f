package command

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
)

// movedShards is the result of move-shards.
type movedShards struct {
	// Moved is how many pushes were moved.
	Moved int `json:"moved"`
}

func (p *program) outboxMoveShards() *cobra.Command {
	var within time.Duration
	cmd := p.leaf("move-shards", "Moves the pending pushes to another number of shards",
		`Moves the pending pushes in Redis to the number of shards in a configuration:
the file given with --config, or the Caddyfile in the current directory. Run it
before you load that configuration.

Gateways with the old number may run meanwhile. They deliver pushes, but they
can't use the outbox any more: a push that they can't deliver in time is left to
the homeserver, which sends it again. Load the new configuration on all of them
afterwards. Gateways of earlier versions must be stopped first.

If the command is interrupted, run it again. No push is lost.`, 0, 0, func(i *invocation) error { return moveShards(i, within) })
	cmd.Flags().DurationVar(&within, "timeout", 10*time.Minute, "The time limit")
	return cmd
}

func moveShards(i *invocation, within time.Duration) error {
	quiet()
	log, err := newLogFile()
	if err != nil {
		return err
	}
	defer log.remove()
	_, plan, err := i.provision(log)
	if err != nil {
		return err
	}
	defer plan.Close()
	if plan.Outbox.Move == nil {
		return fmt.Errorf("the outbox %s has no shards: only the outbox redis has", plan.Outbox.Module)
	}
	ctx, cancel := context.WithTimeout(i.ctx, within)
	defer cancel()
	var answer movedShards
	defer i.progress.end()
	err = plan.Outbox.Move(ctx, func(moved int) {
		answer.Moved = moved
		i.progress.tell("%s moved so far…", describe.Count(moved, "push", "pushes"))
	})
	i.progress.end()
	switch {
	case err != nil:
		return err
	case i.json:
		return i.encode(answer)
	default:
		i.say(green, "%s moved. Load the configuration on all gateways now.", describe.Count(answer.Moved, "push", "pushes"))
		return nil
	}
}
