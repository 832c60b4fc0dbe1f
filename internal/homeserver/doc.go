// Package homeserver is a small client of the Matrix client-server API, for commands that examine a user's account. It decodes
// only the members that a command reads, so the others may have any form. Push rules, events and state are raw JSON.
//
// A [Client] has the user's access token. It sends the token in a header, only to the homeserver, and only over https or to this machine.
// It follows no redirect to another host. Each request is bounded in time and in bytes, and is not repeated. Errors are one sentence each,
// and never contain the token.
package homeserver
