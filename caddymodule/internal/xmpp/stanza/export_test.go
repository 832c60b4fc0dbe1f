package stanza

// Head returns a stanza's addresses and id.
func Head(s Stanza) *Header { return s.head() }
