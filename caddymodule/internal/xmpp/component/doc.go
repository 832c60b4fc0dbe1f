// Package component connects to an XMPP server as an external component (XEP-0114). It knows nothing of Caddy, of pushes, or of what a
// stanza means. It hands each stanza to a [Handler], as the bytes that the server sent, and writes the handler's answers.
//
// # The life of a stream
//
//	Run ─ connect: dial, TLS ─ negotiate: header, handshake ─▶ online ─ next ─▶ Handle, in a goroutine for each stanza
//	 ▲                     │                        │             │         └──▶ Refuse, if there is no room for another
//	 │                     ▼                        ▼             ▼
//	 └──── back-off ◀── Observer.Down ◀── stream error, broken connection, XML that is not allowed
//
// The server may answer the header or the handshake with a stream error. The condition of that error becomes the failure's reason.
//
// An XMPP server sends a publish only once. So the work of a handler goes on if the stream ends, although nobody can get its answer.
// Only [Component.Run]'s end cancels it, after [Options.Grace].
//
// # Bounds
//
// The reader never waits for a handler or for the writer. Anybody with an account somewhere can send stanzas to a component, so each
// resource has a bound:
//
//	a stanza                          [Options.MaxStanza] bytes, and maxDepth elements inside each other; otherwise it is ignored
//	a stanza that has begun           stanzaTime to be complete, otherwise the stream ends
//	stanzas that are being handled    [Options.MaxWork], and maxWorkBytes; otherwise they are refused
//	answers that are not written yet  maxQueue bytes; otherwise an answer is discarded
//	a write                           writeTime, otherwise the stream ends
//	logged failures                   one a minute for each reason, and there are fewer than forty reasons
//
// # Goroutines
//
//	goroutine   started by     ends                                    waited for by
//	Run         the caller     with its context, when work is done     the caller
//	the reader  stream.run     with the connection                     stream.run
//	the writer  stream.run     with the queue or the connection        stream.run
//	Handle      the reader     when the handler returns                Run
package component
