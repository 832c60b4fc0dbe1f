package pushrules

import (
	"cmp"
	"maps"
)

// Delivery is what a homeserver adds to a push besides the event.
type Delivery struct {
	SenderDisplayName, RoomName, RoomAlias string
	Unread                                 uint64
	// Device has the pusher's app_id, pushkey, pushkey_ts and data.
	Device map[string]any
	// NoCounts is set if the client asked for no counts (MSC4076), and NoContent if the homeserver's configuration excludes the content.
	NoCounts, NoContent bool
}

// Request returns the body of the request to the gateway, as the homeserver sends it for a result that notifies.
func (h Homeserver) Request(r *Result, e *Event, v *Viewer, d *Delivery) map[string]any {
	data, _ := d.Device["data"].(map[string]any)
	full := data["format"] != "event_id_only"
	n := map[string]any{"devices": []any{h.device(r, d.Device, full)}}
	e.copy(n, "event_id", "room_id")
	if !d.NoCounts && (h != Continuwuity || d.Unread > 0) {
		n["counts"] = map[string]any{"unread": d.Unread}
	}
	// Dendrite has no priority. The others leave high out, except Synapse. Only Synapse sends it with event_id_only.
	if prio := h.Prio(r); h == SynapseServer || h.ruma() && full && prio == "low" {
		n["prio"] = prio
	}
	if full {
		h.describe(n, e, v, d)
	}
	return map[string]any{"notification": n}
}

// device returns the device with its tweaks.
func (h Homeserver) device(r *Result, device map[string]any, full bool) map[string]any {
	out := maps.Clone(device)
	if out == nil {
		out = make(map[string]any)
	}
	data, _ := device["data"].(map[string]any)
	data = maps.Clone(data)
	delete(data, "url")
	switch {
	case len(data) > 0:
		out["data"] = data
	case h == SynapseServer:
		out["data"] = map[string]any{}
	case h == Dendrite:
		out["data"] = nil
	default:
		delete(out, "data")
	}
	if tweaks := h.tweaks(r); len(tweaks) > 0 && (full || h == Dendrite) {
		out["tweaks"] = tweaks
	}
	return out
}

// tweaks returns the tweaks as the homeserver sends them. In Dendrite, a tweak without a value is null.
func (h Homeserver) tweaks(r *Result) map[string]any {
	tweaks := maps.Clone(r.Tweaks)
	if h != Dendrite || r.Rule == nil {
		return tweaks
	}
	for _, a := range r.Rule.Actions {
		if a.Tweak != "" && a.NoValue {
			tweaks[a.Tweak] = nil
		}
	}
	return tweaks
}

// describe adds what only the full format has.
func (h Homeserver) describe(n map[string]any, e *Event, v *Viewer, d *Delivery) {
	e.copy(n, "type", "sender")
	content, _ := e.Member("content")
	members, isObject := content.(map[string]any)
	if !d.NoContent && (h != SynapseServer || !isObject || len(members) > 0) { // Synapse sends no empty content
		e.copy(n, "content")
	}
	roomName := d.RoomName
	if h == SynapseServer { // it sends the alias as the name
		roomName = cmp.Or(roomName, d.RoomAlias)
	}
	names := map[string]string{"room_name": roomName, "sender_display_name": d.SenderDisplayName, "room_alias": d.RoomAlias}
	for name, value := range names {
		if value == "" || name == "sender_display_name" && h == Dendrite || name == "room_alias" && !h.ruma() {
			continue
		}
		n[name] = value
	}
	stateKey, isState := e.StateKey()
	isMember := e.Type() == "m.room.member" && isState
	if h.ruma() {
		// They compare the subject with the sender, and not with the user. So it is never true for an invite.
		if isMember && stateKey == e.Sender() {
			n["user_is_target"] = true
		}
		return
	}
	if id, ok := e.Member("event_id"); ok {
		n["id"] = id
	}
	if isMember {
		if membership, ok := e.content("membership"); ok {
			n["membership"] = membership
		}
		n["user_is_target"] = stateKey == v.UserID
	}
}

// copy adds members of the event to a notification.
func (e *Event) copy(n map[string]any, names ...string) {
	for _, name := range names {
		if value, ok := e.members[name]; ok {
			n[name] = value
		}
	}
}
