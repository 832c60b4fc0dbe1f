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
	// dirKey names the folder of the run, in which the servers find their files.
	dirKey = "CADDY_MATRIX_PUSH_LOADTEST_DIR"

	roleSink   = "sink"   // the push service
	roleServer = "server" // Caddy, with the gateway or with the floor
)

// A server reads these questions from its standard input, one in each line. It answers each on its standard output, with a line of JSON.
const (
	askUsage    = "usage"
	askSettled  = "settled"
	askReceived = "received" // only for the push service
)

// play runs the program as one of the servers until its standard input ends, which happens when the parent ends.
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

// converse writes hello, and then answers questions.
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
