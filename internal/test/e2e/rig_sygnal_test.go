package e2e

// sygnalNotification returns a message of Sygnal's tests.
func sygnalNotification(devices ...device) string {
	return compose(sygnalEvent(nil), devices)
}

// sygnalEvent returns the notification of a message with other members.
func sygnalEvent(change map[string]any) map[string]any {
	n := map[string]any{
		"id": "$old-style:hs.test", "event_id": "$event", "room_id": "!space:hs.test", "type": "m.room.message",
		"sender": "@tom:hs.test", "sender_display_name": "Major Tom", "room_name": "Mission Control", "room_alias": "#mission:hs.test",
		"prio": "high", "counts": map[string]any{"unread": 2, "missed_calls": 1},
		"content": map[string]any{"msgtype": "m.text", "body": "Ground control, do you read?", "other": 1},
	}
	for name, value := range change {
		n[name] = value
	}
	return n
}

func sygnalEventIDOnly(devices ...device) string {
	return compose(map[string]any{
		"event_id": "$event", "room_id": "!space:hs.test", "counts": map[string]any{"unread": 2},
	}, devices)
}

// sygnalDevice returns a device for an app, with a default_payload if there is one.
func sygnalDevice(d device, defaultPayload ...any) device {
	d.Data = map[string]any{}
	if len(defaultPayload) > 0 {
		d.Data["default_payload"] = defaultPayload[0]
	}
	return d
}
