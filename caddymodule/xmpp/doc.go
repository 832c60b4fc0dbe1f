// Package xmpp has the Caddy app `xmpp_push`: a push service for XMPP servers (XEP-0357 and Push 2.0) that hands each push to the engine of
// the app `matrix_push`.
//
// # The way of a push
//
//	component ─ stanza.Parse ─▶ service: may the sender push? which app? which device? ─▶ coalesce ─▶ matrix_push: the engine
//	    ▲                           │ refused                                               │            │ result
//	    └────────── answer ◀────────┴───────────────────────────────────────────────────────┴────────────┘
//
// A connection is a component's stream, with the pushes that came by it. It is in a pool, and outlives configurations. A service is what one
// configuration says about a component. A connection asks the newest service about each stanza, and about each push that goes out.
//
// # Answers
//
// A server deletes a device's registration because of nearly any error, and repeats no push. So whatever is wrong on the gateway's side is
// answered with wait, and an alarm tells the operator. Only a device that the engine believes dead, and a node whose key is retired, are
// answered with item-not-found.
package xmpp
