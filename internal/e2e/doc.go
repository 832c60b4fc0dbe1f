// Package e2e tests the gateway from outside: a real Caddy process, requests as homeservers send them, and push services that verify
// what they receive. It has no code but its tests.
//
//   - process_test.go runs a Caddy process: start, load, kill. The process is this test binary itself, so that it is race-checked too.
//   - homeserver_test.go sends requests as a homeserver does.
//   - The other files are the tests, named after what they show.
package e2e
