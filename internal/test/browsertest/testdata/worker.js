"use strict";
self.addEventListener("push", event => event.waitUntil(
	self.registration.showNotification("A push", {body: event.data.text(), tag: "t", data: {n: 1}})
));
