// Command fleetsim simulates a fleet of gateways and shards with failures, and shows what the judge found and how long pushes took. It
// exits with 1 if there is a fault. A push that a failover lost is one only with -acknowledge replicas. The same flags always show the same.
//
//	go run ./internal/test/fleetsim/cmd -acknowledge replicas
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/matrix-push/caddy-matrix-push/internal/test/fleetsim"
)

func main() {
	o := fleetsim.Default(1)
	flag.Uint64Var(&o.Seed, "seed", o.Seed, "`number` that decides what happens by chance")
	flag.IntVar(&o.Gateways, "gateways", o.Gateways, "`number` of gateways")
	flag.IntVar(&o.Shards, "shards", o.Shards, "`number` of shards")
	flag.IntVar(&o.Apps, "apps", o.Apps, "`number` of apps; half of the devices have the first one")
	flag.IntVar(&o.Devices, "devices", o.Devices, "`number` of devices")
	flag.IntVar(&o.Pushes, "pushes", o.Pushes, "`number` of pushes")
	flag.DurationVar(&o.Time, "time", o.Time, "`time` in which they are sent")
	flag.IntVar(&o.PerApp, "max-per-app", o.PerApp, "`number` of pending pushes that an app may have")
	flag.BoolVar(&o.Calm, "calm", o.Calm, "nothing fails")
	acknowledge := flag.String("acknowledge", "memory", "what an answer with 200 waits for: memory or `replicas`")
	fill := flag.Bool("fill", false, "fill the outbox of one app, in place of a run")
	flag.Parse()
	o.Replicas = *acknowledge == "replicas"

	if *fill {
		fill := fleetsim.New(o).Fill()
		fmt.Printf("the first push is refused when %.0f %% of max_per_app are used; of as many pushes as max_per_app, %.1f %% are refused\n",
			100*fill.First, 100*fill.Refused)
		return
	}
	r := fleetsim.New(o).Run()
	r.Write(os.Stdout)
	if len(r.Faults()) > 0 {
		os.Exit(1)
	}
}
