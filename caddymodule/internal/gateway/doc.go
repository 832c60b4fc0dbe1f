// Package gateway is the engine: it decodes a notify request, routes each device to its app, dispatches the pushes, and turns outcomes into
// the answer by one policy. It knows nothing of HTTP servers or of Caddy.
//
// # The life of a push
//
//	request ─ Decode ─ route ─ judge ──▶ unusable: Rejected
//	                             │
//	                          lookup ──▶ on record: RejectedBefore
//	                             │
//	                        view, join ──▶ delivered before: Duplicate
//	                             │   └───▶ the flight of another request: wait for it
//	                             ▼
//	                          launch ─────────────── the flight's goroutine ───────────────┐
//	                             │                                                         ▼
//	                           await                 clear: another gateway's? ──▶ pass: Duplicate, Unavailable
//	                             │                          pending pushes?    ──▶ land: joins behind them
//	                             │                          not yet worth a look? ─▶ land: waits
//	                             │                                                         │
//	                             │            fly: admit (breaker, pause) ─ Limit ─ Provider.Push
//	                             │                                                         │ outcome
//	            patience is over │                                                         ▼
//	                          handOver ─▶ hand: outbox (running)          land: decide
//	                             │                 │                         suspect? ─ decide
//	                             │                 └──── waited for by ────▶ record?  ─ decide
//	                             ▼                                           accept?  ─ decide
//	                          answer  ◀───────── finish ◀────────────────── settle or release, remember, leave
//	                                                                                       │
//	                                                      doubt: the outbox gave no answer, so the call is made again
//
// A push out of the outbox has the second half of this life: work leases it, retry makes the flight, and it lands with its entry.
//
// Nothing on the request's own goroutine waits for a store but lookup (at most [rejected.AskTime]) and handOver (at most storeWait), so a
// request is answered within its app's wait and a second. decide is the only code that gives an outcome a meaning. It is a pure function of
// the outcome and the circumstances, and is asked again as these grow.
//
// # Locks
//
//	lock             guards                                        during I/O
//	Shared.mu        flights by event, delivered events, hosts     never
//	                 by app, attempts under way
//	flight.mu        phase, handing, handed                        never
//	flight.landed    outcome, decision: read only once it is       closed after the I/O that
//	                 closed                                        the answer stands on
//	hosts.mu         an app's hosts: breakers, deliveries, health  never
//	fuse.mu          an app's verdicts within the window           never
//	Fuses.mu         the fuses by app                              never
//	journal.mu       latest attempts                               never
//	proven.mu        who took pushes                               never
//	refusals.mu      when apps found no room                       never
//	doubts.mu,       what their names say                          never
//	suspects.mu,
//	tries.mu
//
// None is taken while another one is held.
//
// # Goroutines
//
//	goroutine             started by       ends                            waited for by
//	a flight              launch, work     when it has landed, unless      Shared.Drain, until it has landed
//	                                       its Push does not return: then
//	                                       it lands on one of a timer
//	a call of Start       App.Start        when the provider returns       App.Start, likewise
//	hand                  handOver, fly    at [outbox.WriteTime] at the    its flight's end
//	                                       latest
//	lookup                Notify           at [rejected.AskTime] at the    Notify, until then
//	                                       latest, if the store heeds it
//	work, one an app      Work             with Work's context             Work
//	offerTrials, one an   Work             with Work's context, after the  Work
//	app                                    call that it makes
//	retry                 work             when its push has landed        Shared.Drain
//	withdraw              a fuse's trip    when all is withdrawn           Shared.Drain
//	doubt                 land             when the outbox has answered,   nobody: a process that ends leaves it to
//	                                       or with Shared.Close            the outbox, which knows what it has
//
// # What lives how long
//
// One configuration: [Gateway], [Router], [App] with its limit, and whether the provider proved its settings (App.proven). One process, in
// [Shared]: flights, delivered events, who took pushes, each app's hosts and fuse, the journal, suspects and doubts, how often pushes got
// an outcome that ends after some tries, and how many bytes all requests have in hand ([Hand]). One request, and its flights: what its
// devices see of the notification (view). Over restarts, in the stores: verdicts and suspicions, accepted pushes, delivered events, who took
// pushes.
//
// # Strangers
//
// Where devices choose the host, anybody can make up devices and hosts, and choose what they answer. A push has a standing ([outbox.Standing]):
// its device took one before, or its host's group did, or neither. What a device that never took one gets, decides for nobody else:
//
//	the breaker of a host that is known     breaker.heeds: its failures do not count, and it is no trial while others may be one
//	slots and places in line                limit.Fair: strangers share an eighth, groups take turns, the proven go first
//	room in the outbox                      outbox.Entry's Group and Standing
//	time                                    strangerTimeout, and longer backoff
//	attempts                                giveUp: ten refusals
//	the pause of a host that throttles      pauses: at a known host, theirs is for newcomers only
//	another key than the app's              wrongKeys: it is counted, and reported only if it tells
//	health, alarms                          verdict.tells
//
// # Where to change what
//
//	an outcome             providers/outcome.go; decide and the promises in policy_test.go; isFault and answered in breaker.go;
//	                       Attempt.Kind; the journal's note
//	what a device is       App.keyOf in identity.go, which also deals with what earlier versions left
//	a provider's ability   an interface in providers/provider.go; a guarded method in guest.go, which a test asks for
//	an outbox's ability    an interface in outbox/outbox.go; box.go; the suite in outbox/outboxtest
//	a store's ability      rejected/rejected.go; suspicion.go, lookup.go, fuses.go; the suite in rejected/rejectedtest
//	a push service's word  wordFor in word.go, which keeps secrets out of it; where it is shown: the journal, and the observer
//	a host that throttles  pause.go; attempt turns pushes away, decide has them come back
//	when a host is down    breaker.go, whose rules are pure; hosts.go keeps them in a bounded table, admission.go asks and tells
//	                       them, trials.go tries again
//	when an app is ill     health.go and Degradations in status.go
package gateway
