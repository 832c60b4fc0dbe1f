"use strict";
document.getElementById("form").addEventListener("submit", event => {
	event.preventDefault();
	setTimeout(() => {
		document.getElementById("greeting").textContent = `Hello ${document.getElementById("name").value}`;
	}, 50);
});
