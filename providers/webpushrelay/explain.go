package webpushrelay

import (
	"cmp"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/endpoint"
)

// reasons are the reasons that only this provider gives, or that mean something else than with other providers.
var reasons = map[string]string{
	nothingToDo:    "the notification is a badge update, which contains no message: nothing is wrong",
	hostNotAllowed: "the option hosts does not list the endpoint's host: add the host if messages may go there",
	badMessage:     "the data contains no message in base64: the sender must correct it",

	jwtInvalid:  "the sender's VAPID token or key is invalid: the sender must correct it",
	jwtAudience: "the sender's VAPID token is made for another push server: the client must enable push again with the right server",
	jwtExpired:  "the sender's VAPID token has expired, perhaps while the push was pending: check the clocks of this server and the sender",
	jwtRefused:  "the push server refuses the sender's VAPID token: the client or its server must correct it, such as the subject",

	endpoint.TooLarge: "the sender's message is too large for the push server",
}

// Explain returns what a reason means and what to do about it.
func (*Provider) Explain(reason string) string {
	return cmp.Or(reasons[reason], endpoint.Explain(reason))
}
