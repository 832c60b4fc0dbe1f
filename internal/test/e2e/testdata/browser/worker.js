"use strict";

// Shows a notification for an event, and nothing for a badge update.
self.addEventListener("push", event => {
	const push = event.data.json();
	if (!push.event_id) return;
	event.waitUntil(self.registration.showNotification(`${push.sender_display_name} in ${push.room_name}`, {body: push.content.body}));
});
