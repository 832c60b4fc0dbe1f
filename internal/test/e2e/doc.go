// Package e2e tests the gateway from outside: a real Caddy process, requests as homeservers send them, and push services that verify
// what they receive. It has no code but its tests. It is one package, since each package of tests would link Caddy once more.
//
// Files whose names begin with rig_ are the rig: what tests share, without a test in it. All other files are tests, named after what they
// show:
//
//   - acceptance_*_test.go are the behaviours that docs/acceptance.md lists by their ids.
//   - synapse_*_test.go have a real Synapse in front of the gateway. What arrives for each kind of event is in testdata/synapse (-update
//     writes it: read it).
//   - homeservers_test.go and golden_test.go replay what homeservers send: from internal/test/corpus to each provider, and from
//     testdata/wire.
//   - ssrf_*_test.go push to hostile endpoints, hostile_*_test.go send what no homeserver sends, abuse_*_test.go send what a stranger may
//     try, and attack_*_test.go are attacks by one stranger on a gateway with default configuration.
//   - canaries_*_test.go and log_test.go test the rig itself.
//
// # The rig
//
// Processes and the ways to ask them:
//
//   - rig_process_test.go runs a Caddy process: start, load, kill. The process is this test binary itself, so it is race-checked too.
//     rig_clients_test.go has its HTTP clients, rig_files_test.go reads and writes keys and waits for what follows from them, and
//     rig_options_test.go reads the variables that make tests longer.
//   - rig_log_test.go keeps what a process logs, and looks for data races in it.
//   - rig_admin_test.go, rig_command_test.go and rig_metrics_test.go ask the admin API, run the command, and read metrics, goroutines
//     and memory.
//   - rig_guests_test.go has modules of third parties that only this Caddy has: providers that panic or never return, a writer of events.
//
// Homeservers:
//
//   - rig_homeserver_test.go sends requests as a homeserver does, and builds their bodies: alert, badge, compose. rig_answers_test.go has
//     the answers that tests want: wantBody, wantUnavailable.
//   - rig_homeservers_test.go posts and reads answers as each homeserver does; rig_homeservers_targets_test.go has a target of each kind.
//     rig_sygnal_test.go has the notifications of Sygnal's own tests.
//   - rig_synapse_test.go runs one Synapse for all tests: with SQLite, on loopback, trusting the authority of the gateways' certificates.
//     rig_synapse_client_test.go has its users, who do what clients do, rig_synapse_devices_test.go their devices, and
//     rig_synapse_scene_test.go all of that around a gateway.
//   - rig_traffic_test.go sends a steady stream, and rig_users_test.go has users who send one event after another, whatever happens.
//   - rig_hostile_conn_test.go is a connection on which a test writes what it likes.
//
// Push services:
//
//   - rig_scene_test.go is the usual scene: UnifiedPush and Web Push, a gateway in front of them, a homeserver.
//   - rig_apple_test.go and rig_google_test.go are the same with APNs and FCM.
//   - rig_unreliable_test.go is a push server that fails as a test wants it to, with a gateway whose stores survive it. rig_redis_test.go
//     has several gateways with one Redis in front of it.
//   - rig_chaos_test.go has push services of all four kinds, each behind a front (rig_chaos_front_test.go) where something else befalls each
//     connection: rig_chaos_plan_test.go decides what, rig_chaos_conn_test.go has it happen to bytes, rig_chaos_session_test.go and
//     rig_chaos_http1_test.go to frames and requests.
//   - rig_hang_test.go and rig_servers_test.go are servers that hang, count or refuse.
//
// Judges:
//
//   - rig_evidence_test.go records what both sides saw, for internal/test/checker to judge.
//   - rig_canaries_test.go and rig_canaries_*_test.go note everything secret that the run sends or is given, and look for it in all that
//     its processes log and show: what is found fails the run. A test has nothing to do for it, but its contents must be texts that
//     nothing logs by chance.
//   - rig_golden_test.go and rig_wire_test.go compare with files in testdata, rig_json_test.go compares JSON.
//
// Networks:
//
//   - rig_namespace_linux_test.go runs a test in a network namespace where every address is this machine's. rig_tap_linux_test.go sees
//     each connection that is tried there, and rig_nameserver_test.go is a DNS server that answers what it is told.
//   - rig_ssrf_fence_linux_test.go is a gateway in such a namespace, for hostile endpoints: no such connection may be made outside of it.
//     rig_attack_lab_linux_test.go is one for attacks; rig_attack_senders_linux_test.go has the stranger, and those who must not notice.
//   - rig_unraced_test.go builds the tests without the race detector, for those that measure time and memory.
//   - rig_sygnal_adapter_test.go runs Caddy on a sygnal.yaml; rig_sygnal_adapter_internet_test.go is an internet with Apple's, Google's and
//     Mozilla's names.
//
// # A new test
//
// smoke_test.go is the shortest one. Start from the scene whose push service you need: newScene, newAppleScene, newGoogleScene; newSafeScene
// if pushes wait in an outbox or processes die; startGateway for a configuration of your own. Put the test beside its like, or into a file
// named after what it shows. What a second file needs as well belongs into the rig.
//
// E2E_APPS, E2E_ATTACK, E2E_CHAOS, E2E_FLOOD, E2E_HANG, E2E_KILLS, E2E_RELOADS, E2E_STALLS and E2E_STEPS make tests longer, E2E_SEED
// repeats one, and E2E_LOGS names a folder for the logs that the checker judged. SYNAPSE_PYTHON names a python that has Synapse; without
// one, and without synapse_homeserver in the PATH, its tests are skipped, unless CI_REQUIRE_SYNAPSE is set.
package e2e
