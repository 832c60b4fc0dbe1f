// Package fleetsim simulates many gateways that share an outbox of many shards, with failures. It has a virtual clock and one goroutine, so
// the same seed makes the same run, and an hour of a fleet takes seconds. The judge is package checker, which also judges real gateways.
//
// These parts are real: the judge, the shard of each device, and each shard's part of the bounds.
//
// These parts are models. Each follows the code that it is named after:
//
//	state.go       a shard's data: the contract of package outbox, as outbox/redis/lua implements it. A test compares it with a real
//	               outbox.
//	shard.go       a shard's servers: one thread, a replica that lags, outages, failover
//	network.go     calls from a gateway to a shard, which may be lost before or after they have an effect
//	gateway.go     the requests of a gateway, as caddymodule/internal/gateway/notify.go answers them
//	flight.go      a push on its way: flight.go and land.go there
//	work.go        the workers that lease pending pushes: work.go there, and outbox/redis/poll.go and desk.go
//	service.go     push services: up, slow, down, with dead devices
//	homeserver.go  homeservers: each device's events in order, repeated until they are answered with 200
//	failures.go    what fails, and when
//	bounds.go      how full a shard is when others still have room
//
// The models leave out what does not concern several machines: contents, badge updates, fuses, suspicions, and the time to live. Of a
// breaker, there is only its end: pending pushes are due when the push service works again. Until then, each push is tried.
//
// The variable FLEETSIM_SEED sets the seed of the tests, and FLEETSIM_PUSHES the number of pushes.
package fleetsim
