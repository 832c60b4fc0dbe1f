// Command checker reports what a push gateway lost, doubled, reordered or wrongly rejected. It reads the logs of the homeserver and of the push
// service. It exits with 1 if it finds a fault.
//
//	go run ./internal/test/checker/cmd homeserver.jsonl pushes.jsonl [kills.jsonl]
package main

import (
	"fmt"
	"os"

	"github.com/matrix-push/caddy-matrix-push/internal/test/checker"
)

func main() {
	args := os.Args[1:]
	if len(args) != 2 && len(args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: checker homeserver.jsonl pushes.jsonl [kills.jsonl]")
		os.Exit(2)
	}
	args = append(args, "")
	report, err := checker.CheckFiles(args[0], args[1], args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	report.Write(os.Stdout)
	if len(report.Findings) > 0 {
		os.Exit(1)
	}
}
