"use strict";

// subscribe subscribes with the key that the gateway names for the app in the page's URL.
async function subscribe() {
	const app = new URLSearchParams(location.search).get("app_id");
	const answer = await fetch("/_matrix/push/v1/notify?app_id=" + encodeURIComponent(app));
	const key = (await answer.json()).webpush[app].application_server_key;
	if (await Notification.requestPermission() !== "granted") throw new Error("not permitted");
	await navigator.serviceWorker.register("worker.js");
	const registration = await navigator.serviceWorker.ready;
	return registration.pushManager.subscribe({userVisibleOnly: true, applicationServerKey: key});
}

document.getElementById("subscribe").addEventListener("click", () => subscribe().then(
	subscription => JSON.stringify(subscription),
	error => String(error),
).then(text => { document.getElementById("subscription").textContent = text; }));
