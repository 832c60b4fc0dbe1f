// Package gateway is the delivery engine. It decodes a notify request, routes each device to its app, sends the pushes, and turns their
// outcomes into the answer. It does not depend on Caddy or on an HTTP server. docs/glossary.md explains words such as fuse and doubt.
//
// # The life of a push
//
// A flight is one push on its way, with its own goroutine. The left side is the request's goroutine, the right side the flight's.
//
//	request ─ Decode ─ route ─ judge ──▶ unusable: Rejected
//	                             │
//	                          lookup ──▶ on record: RejectedBefore
//	                             │
//	                        view, join ──▶ delivered before: Duplicate
//	                             │   └───▶ in flight for another request: wait for that flight
//	                             ▼
//	                          launch ─────────────── the flight's goroutine ───────────────┐
//	                             │                                                         ▼
//	                           await               clear: another gateway has it? ──▶ pass: Duplicate, Unavailable
//	                             │                        pending pushes?         ──▶ land: join behind them
//	                             │                        suspected, too early?   ──▶ land: pending
//	                             │                                                         │
//	                             │            fly: admit (breaker, pause) ─ Limit ─ Provider.Push
//	                             │                                                         │ outcome
//	                wait is over │                                                         ▼
//	                          handOver ─▶ hand: outbox (running)          land: decide
//	                             │                 │                         suspect? ─ decide
//	                             │                 └───── land waits for it ▶ record?  ─ decide
//	                             ▼                                           accept?  ─ decide
//	                          answer  ◀───────── finish ◀────────────────── settle or release, remember, leave
//	                                                                                       │
//	                                                         doubt: the outbox did not answer, so repeat the call
//
// A pending push has the second half of this life. work leases its entry from the outbox, retry makes a flight for it, and the flight ends
// with the entry settled or released.
//
// The request's own goroutine waits for stores in two places only: in lookup for at most [rejected.AskTime], and in handOver for at most
// storeWait. So a request is answered within its app's wait plus one second, or DefaultWait if wait is 0 and the outbox fails.
//
// Only decide gives an outcome a meaning. It is a pure function of the outcome and the circumstances, and is called again when more of the
// circumstances are known.
//
// # Locks
//
//	lock             guards                                        held during I/O
//	Shared.mu        flights by event, delivered events, hosts     never
//	                 by app, attempts under way
//	flight.mu        phase, handing, handed                        never
//	flight.landed    outcome, decision: read them only after       a channel, closed after the I/O
//	                 it is closed                                  that the answer depends on
//	hosts.mu         an app's hosts: breakers, deliveries, health  never
//	fuse.mu          an app's verdicts within the window           never
//	Fuses.mu         the fuses by app                              never
//	journal.mu       latest attempts                               never
//	proven.mu        devices and groups that were delivered to     never
//	refusals.mu      when the outbox had no room, by app           never
//	doubts.mu        pushes in doubt                               never
//	suspects.mu      suspected pushkeys by app                     never
//	tries.mu         attempts in a row by push                     never
//	Probes.mu        the key of probes, and which ones arrived     never
//	history.mu       an app's counts of minutes that have ended    never
//	crew.mu          goroutines that wait for a flight             never
//
// No goroutine holds two of these locks at the same time.
//
// # Goroutines
//
//	goroutine             started by       ends                            waited for by
//	a flight              launch, on a     when it has landed; if Push     Shared.Drain, until it has landed
//	                      goroutine of     hangs, when Push returns
//	                      the crew
//	the crew's, idle      a flight that    after 5 to 10 s without one,    nobody
//	                      has landed       or with Shared.Close
//	overdue               call, if Push    when it has landed the flight   Shared.Drain
//	                      hangs
//	hand                  handOver, fly    within [outbox.WriteTime]       its flight, when that lands
//	lookup                Notify           within [rejected.AskTime], if   Notify, for that time
//	                                       the store obeys its context
//	work, one an app      Work             with Work's context             Work
//	offerTrials, one an   Work             with Work's context, after the  Work
//	app                                    call that it is making
//	watchHealth           Work             with Work's context             Work
//	retry                 work, likewise   like a flight                   Shared.Drain, until it has landed
//	withdraw              a fuse that      when all records are withdrawn  Shared.Drain
//	                      trips
//	doubt                 land             when the outbox has answered,   nobody: when the process ends, the
//	                                       or with Shared.Close            outbox still knows what it has
//	a call of Start       App.Start        when the provider returns       App.Start, for overdueAfter longer
//	                                                                       than its context
//	a call of Push        App.Push, for    when the provider returns       App.Push, likewise
//	                      a test push
//
// # What lives how long
//
//	lives for                      what
//	one request and its flights    the view: what its devices may see of the notification
//	one configuration              [Gateway], [Router], [App] with its limit, and whether the provider has proved its settings (App.proven)
//	the process, in [Shared]       flights, delivered events, devices that were delivered to, each app's hosts and fuse, the journal,
//	                               suspects, doubts, tries (attempts that may be made only a few times), and the bytes in use ([Hand]);
//	                               for ten minutes, which probes arrived ([Probes])
//	as long as the app is          its pushes of the last hour ([History])
//	configured without a break
//	longer, in the stores          verdicts and suspicions, accepted pushes, delivered events, devices that were delivered to
//
// # Strangers
//
// Where devices choose the host, anybody can make up devices and hosts, and have those hosts answer anything. So each push has a standing
// ([outbox.Standing]). It is Proven if its device was delivered to before, Guest if its host's group was, and Stranger otherwise. The outcome
// for a device that was never delivered to affects nobody else:
//
//	the breaker of a known host           breaker.heeds: its failures don't count; it is a trial only if nobody else can be one
//	slots and places in line              limit.Fair: strangers share an eighth, groups take turns, proven devices go first
//	room in the outbox                    Group and Standing of outbox.Entry
//	time                                  strangerTimeout, and a longer backoff
//	attempts                              giveUp: ten refusals
//	the pause of a host that throttles    pauses: at a known host, its answers count for newcomers only
//	another key than the app's            wrongKeys: it is counted, but reported only if it is evidence about the app
//	health, alarms                        verdict.tells, Trouble.calls
//
// # Where to change what
//
//	an outcome                 providers/outcome.go; decide and the promises in policy_test.go; isFault and answered in breaker.go;
//	                           Attempt.Kind; the journal's note
//	what identifies a device   App.keyOf in identity.go, which also migrates what earlier versions stored
//	a provider's ability       an interface in providers/provider.go; a guarded method in guest.go, which a test requires
//	a provider that hangs      overdue.go, for Push; App.Start in guest.go
//	an outbox's ability        an interface in outbox (outbox.go, inspect.go); box.go; the suite in outbox/outboxtest
//	a store's ability          rejected/rejected.go; suspicion.go, lookup.go, fuses.go; the suite in rejected/rejectedtest
//	a push service's word      wordFor in word.go, which keeps secrets out of it; the journal and the observer show it
//	a probe of doctor          probe.go, which route asks before it looks for an app
//	what the history counts    report in notify.go, reportLosses in box.go; kinds in history.go
//	a host that throttles      pause.go; attempt turns pushes away, and decide brings them back
//	when a host is down        breaker.go has the rules, without I/O; hosts.go keeps the breakers in a bounded table; admission.go asks
//	                           them and reports outcomes to them; trials.go makes pending pushes due as trials
//	when an app is degraded    health.go, and Degradations in status.go
//	when a trouble ends        Trouble in trouble.go; Gateway.proved, for test pushes
package gateway
