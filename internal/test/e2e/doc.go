// Package e2e tests the gateway from outside: a real Caddy process, requests as homeservers send them, and push services that verify
// what they receive. It has no code but its tests.
//
//   - process_test.go runs a Caddy process: start, load, kill. The process is this test binary itself, so that it is race-checked too.
//   - log_test.go keeps what it logs, and looks for data races in it.
//   - homeserver_test.go sends requests as a homeserver does.
//   - homeservers_test.go replays what each homeserver sends, which internal/test/corpus has, to each provider.
//   - unreliable_test.go is a push server that fails as a test wants it to, with a gateway whose stores survive it.
//   - chaos_*_test.go are fronts of push services of all four kinds, to which something else befalls each connection: chaos_plan_test.go
//     says what, chaos_conn_test.go has it happen to bytes, chaos_session_test.go and chaos_http1_test.go to frames and requests.
//   - evidence_test.go writes down what both sides saw, for internal/test/checker to judge.
//   - canaries_*_test.go note everything secret that the run sends or is given, and look for it in all that its processes log: what is
//     found fails the run. A test has nothing to do for it, but needs contents of its own that nothing logs by chance.
//   - synapse_*_test.go have a real Synapse in front of the gateway. synapse_test.go runs it, one for all tests: with SQLite, on loopback,
//     and trusting the authority of the gateways' certificates. synapse_client_test.go are its users, who do what clients do.
//     synapse_devices_test.go are their devices, and synapse_scene_test.go is all of that around a gateway. What arrives for each kind
//     of event is in testdata/synapse (-update writes it: read it).
//   - namespace_linux_test.go runs a test in a network namespace where every address is this machine's, tap_linux_test.go sees each
//     connection that is tried there, and nameserver_test.go is a DNS server that says what it is told to. unraced_test.go builds the
//     tests without the race detector, for those that measure time and memory.
//   - ssrf_*_test.go push to hostile endpoints in such a namespace. No such connection may be made outside of it.
//   - hostile_*_test.go are requests that no homeserver sends: bodies, connections, multitudes.
//   - abuse_*_test.go are what a stranger may try who sends notifications: slow hosts, floods, large answers.
//   - attack_*_test.go are attacks by one stranger on a gateway with default configuration, in such a namespace: attack_lab_linux_test.go
//     is the network, attack_senders_linux_test.go are the stranger and those who are not to notice.
//   - The other files are the tests, named after what they show.
//
// E2E_APPS, E2E_ATTACK, E2E_CHAOS, E2E_FLOOD, E2E_HANG, E2E_KILLS, E2E_RELOADS, E2E_STALLS and E2E_STEPS make tests longer, E2E_SEED
// repeats one, and E2E_LOGS names a folder for the logs that the checker judged. SYNAPSE_PYTHON names a python that has Synapse; without
// one, and without synapse_homeserver in the PATH, its tests are skipped, unless CI_REQUIRE_SYNAPSE is set.
package e2e
