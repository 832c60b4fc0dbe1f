// Package e2e tests the gateway from outside: a real Caddy process, requests as homeservers send them, and push services that verify
// what they receive. It contains only tests. It is one package, because each package of tests links Caddy once more.
//
// Files whose names begin with rig_ are the rig: code that tests share, without tests. All other files are tests, and named
// after what they show:
//
//   - acceptance_*_test.go show the behaviours that docs/acceptance.md lists by their ids.
//   - synapse_*_test.go run a real Synapse in front of the gateway. testdata/synapse has what arrives for each kind of event. After a run
//     with -update, read the difference.
//   - homeservers_test.go and golden_test.go replay requests of homeservers: internal/test/corpus to each provider, and testdata/wire.
//   - ssrf_*_test.go push to hostile endpoints, hostile_*_test.go send what no homeserver sends, and abuse_*_test.go try what a
//     stranger may try. attack_*_test.go are attacks by one stranger on a gateway with default configuration.
//   - xmpp_*_test.go push by XMPP: with a Prosody, or with a fake server that deletes registrations as ejabberd does. Those in
//     xmpp_ejabberd_real_test.go run a real ejabberd.
//   - webclient_*_test.go use examples/webclient in real browsers. pictures_test.go takes the pictures of pages that are in the docs.
//   - canaries_*_test.go and log_test.go test the rig itself.
//
// # The rig
//
// Processes, and ways to ask them:
//
//   - rig_process_test.go runs a Caddy process: start, load, kill. The process is this test binary itself, so it is race-checked too.
//     rig_clients_test.go has its HTTP clients, rig_files_test.go reads and writes keys and waits for the effects, and
//     rig_options_test.go reads the variables that make tests longer.
//   - rig_log_test.go keeps the log of a process, and looks for data races in it.
//   - rig_admin_test.go, rig_command_test.go and rig_metrics_test.go ask the admin API, run the command, and read metrics, goroutines
//     and memory. rig_probe_test.go asks for probes, whose pushkeys the other ways must not show.
//   - rig_page_test.go runs the commands of docs/troubleshooting.md as they are written.
//   - rig_ui_test.go runs the command ui, and uses its page as a browser does. rig_ui_browser_test.go uses it in real browsers.
//     rig_ui_gateway_test.go is an admin API with all troubles at once, testdata/ui.
//   - rig_guests_test.go has third parties' modules that only this Caddy has: providers that panic or never return, and a writer of events.
//     rig_handler_test.go has a handler that answers in any way that a handler can.
//
// Homeservers:
//
//   - rig_homeserver_test.go sends requests as a homeserver does, and builds their bodies: alert, badge, compose. rig_answers_test.go
//     checks answers: wantBody, wantUnavailable.
//   - rig_homeservers_test.go posts and reads answers as each homeserver does; rig_homeservers_targets_test.go has a target of each kind.
//     rig_sygnal_test.go has the notifications of Sygnal's own tests.
//   - rig_synapse_test.go runs one Synapse for all tests, and a strict one. They use SQLite, listen on loopback, and trust the gateways'
//     certificates.
//     rig_synapse_client_test.go has its users, who act as clients do, and rig_synapse_devices_test.go their devices.
//     rig_synapse_scene_test.go puts all of that around a gateway. rig_synapse_recorder_test.go is in place of a gateway: it keeps the
//     requests of Synapse.
//   - rig_xmpp_test.go puts a Prosody (internal/test/prosodytest) or an ejabberd (internal/test/ejabberdtest), and an FCM around a gateway.
//     rig_xmpp_ejabberd_test.go is a fake XMPP server with ejabberd's rule about registrations.
//   - rig_webclient_homeserver_test.go is the part of the client-server API that the web client needs, with one user.
//   - rig_traffic_test.go sends a steady stream. rig_users_test.go has users who send one event after another, whatever happens.
//   - rig_hostile_conn_test.go is a connection on which a test writes any bytes.
//
// Push services:
//
//   - rig_scene_test.go is the usual scene: UnifiedPush and Web Push, a gateway in front of them, a homeserver.
//   - rig_apple_test.go and rig_google_test.go are the same with APNs and FCM.
//   - rig_unreliable_test.go is a push server that fails on demand, with a gateway whose stores survive restarts. rig_redis_test.go puts
//     several gateways with one Redis in front of it. rig_failover_test.go lets the servers of Redis fail while pushes flow.
//   - rig_chaos_test.go has push services of all four kinds. Each is behind a front (rig_chaos_front_test.go) that makes every connection
//     fail in a different way. rig_chaos_plan_test.go decides how, rig_chaos_conn_test.go does it to bytes, and
//     rig_chaos_session_test.go and rig_chaos_http1_test.go do it to frames and requests.
//   - rig_browser_test.go is a real Firefox (internal/test/browsertest) with a push service that speaks its protocol
//     (internal/test/autopushtest), and a gateway that also serves a web client. rig_webclient_test.go has the one of examples/webclient,
//     as the quick start serves it.
//   - rig_hang_test.go and rig_servers_test.go are servers that hang, count or refuse.
//
// Judges:
//
//   - rig_evidence_test.go records what both sides saw. internal/test/checker judges it.
//   - rig_canaries_test.go and rig_canaries_*_test.go note every secret that the run sends or gets, and search for it in everything that
//     its processes log and show. A secret that is found fails the run. A test doesn't have to do anything for that, but its contents must
//     be texts that nothing logs by chance.
//   - rig_golden_test.go and rig_wire_test.go compare with files in testdata, rig_json_test.go compares JSON.
//
// Networks:
//
//   - rig_namespace_linux_test.go runs a test in a network namespace where every address is this machine's. rig_tap_linux_test.go sees
//     each connection that is tried there, and rig_nameserver_test.go is a DNS server with answers that tests set.
//   - rig_ssrf_fence_linux_test.go is a gateway in such a namespace, for hostile endpoints: such connections must not leave it.
//     rig_attack_lab_linux_test.go is one for attacks; rig_attack_senders_linux_test.go has the stranger, and the users who must not
//     notice.
//   - rig_unraced_test.go builds the test binary without the race detector, for tests that measure time and memory.
//   - rig_sygnal_adapter_test.go runs Caddy on a sygnal.yaml; rig_sygnal_adapter_internet_test.go is a fake internet with
//     Apple's, Google's and Mozilla's names.
//
// # A new test
//
// smoke_test.go is the shortest one. Start from the scene whose push service you need: newScene, newAppleScene, newGoogleScene;
// newSafeScene if pushes are pending in an outbox or processes die; startGateway for another configuration. Put the test beside similar
// ones, or into a file named after what it shows. Code that a second file needs as well belongs in the rig.
//
// E2E_APPS, E2E_ATTACK, E2E_CHAOS, E2E_FAILOVER, E2E_FLOOD, E2E_HANG, E2E_KILLS, E2E_RELOADS, E2E_STALLS, E2E_STEPS and E2E_XMPP make
// tests longer, E2E_SEED repeats one, and E2E_LOGS names a folder for the logs that the checker judged. SYNAPSE_PYTHON names a python
// that has Synapse. Without it, and without synapse_homeserver in the PATH, Synapse's tests are skipped, unless CI_REQUIRE_SYNAPSE is
// set. Prosody's tests are skipped without a Prosody, unless CI_REQUIRE_PROSODY is set. Those of the real ejabberd are skipped without
// an ejabberd, unless CI_REQUIRE_EJABBERD is set. Those of browsers are skipped without Firefox, Chromium or axe-core, unless
// CI_REQUIRE_BROWSERS is set: internal/test/browsertest says what must be installed, and what AXE_CORE and BROWSER_SCREENSHOTS are.
package e2e
