package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

const (
	// roleKey is the environment variable that makes the program one of the servers.
	roleKey = "CADDY_MATRIX_PUSH_LOADTEST_ROLE"
	// dirKey names the folder of the run, in which the servers find what they need to know.
	dirKey = "CADDY_MATRIX_PUSH_LOADTEST_DIR"

	roleSink   = "sink"   // the push service
	roleServer = "server" // Caddy, with the gateway or with the floor
)

// What a server is asked on its standard input, a line each, and answers on its standard output in a line of JSON.
const (
	askUsage    = "usage"
	askSettled  = "settled"
	askReceived = "received" // of the push service
)

// play is the program as one of the servers, until its standard input ends: when the parent does.
func play(role string) error {
	dir := os.Getenv(dirKey)
	if role == roleSink {
		return playSink(dir)
	}
	config, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return err
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(config, nil)
	if err != nil {
		return err
	}
	if err := caddy.Load(adapted, true); err != nil {
		return err
	}
	return converse(nil, func(question string) any {
		if question == askSettled {
			return settled()
		}
		return used()
	})
}

// converse says hello, and then answers what it is asked.
func converse(hello any, answer func(question string) any) error {
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(hello); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := out.Encode(answer(in.Text())); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
	return in.Err()
}
