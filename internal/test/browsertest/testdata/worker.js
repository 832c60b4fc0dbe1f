"use strict";
self.addEventListener("push", event => event.waitUntil(
	self.registration.showNotification("A push", {body: event.data.text(), tag: "t", data: {n: 1}})
));
self.addEventListener("notificationclick", event => {
	event.notification.close();
	event.waitUntil(self.clients.openWindow("bad.html"));
});
