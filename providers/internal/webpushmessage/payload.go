package webpushmessage

import "github.com/matrix-push/caddy-matrix-push/providers"

// IDs is a notification reduced to what a client needs to fetch the event, in the protocol's own form.
type IDs struct {
	EventID    string  `json:"event_id,omitempty"`
	RoomID     string  `json:"room_id,omitempty"`
	Prio       string  `json:"prio"`
	Counts     *Counts `json:"counts,omitempty"`
	Ciphertext string  `json:"ciphertext,omitempty"`
	Ephemeral  string  `json:"ephemeral,omitempty"`
	MAC        string  `json:"mac,omitempty"`
}

// Counts are the numbers for a badge in the protocol's own form. A zero counts.
type Counts struct {
	Unread      *int64 `json:"unread,omitempty"`
	MissedCalls *int64 `json:"missed_calls,omitempty"`
}

// IDsOf reduces a notification.
func IDsOf(n *providers.Notification) IDs {
	ids := IDs{
		EventID: n.EventID, RoomID: n.RoomID, Prio: n.Prio.String(),
		Ciphertext: n.Encrypted.Ciphertext, Ephemeral: n.Encrypted.Ephemeral, MAC: n.Encrypted.MAC,
	}
	if n.Counts != (providers.Counts{}) {
		ids.Counts = &Counts{Unread: n.Counts.Unread, MissedCalls: n.Counts.MissedCalls}
	}
	return ids
}
