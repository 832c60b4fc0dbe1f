package stanza

import (
	"bytes"
	"errors"
	"strings"
)

// The commands of p2 end with the name of the push service, such as register-push-fcm.
const (
	p2Register       = "register-push-"
	p2Unregister     = "unregister-push-"
	tigaseRegister   = "register-device"
	tigaseUnregister = "unregister-device"
)

// maxDeviceToken and maxDeviceID limit what a client may register. The tokens of FCM have about 160 characters.
const (
	maxDeviceToken = 2048
	maxDeviceID    = 1024
)

// errForm is returned for a registration whose form is not complete.
var errForm = errors.New("the form of the registration is incomplete")

// Action is what a client wants with a command.
type Action uint8

// The actions.
const (
	// OtherCommand is every command but those below.
	OtherCommand Action = iota
	// RegisterP2 registers as clients of p2 do: Conversations and Snikket for Android.
	RegisterP2
	// UnregisterP2 ends that registration.
	UnregisterP2
	// RegisterTigase registers as clients of Tigase's push component do: Siskin and Snikket for iOS.
	RegisterTigase
	// UnregisterTigase ends that registration.
	UnregisterTigase
)

// Command is an ad-hoc command, XEP-0050.
type Command struct {
	Header
	// Node is the name of the command.
	Node string
	// Session is the session's id; empty in a first request.
	Session string
	// Cancel reports that the client gives the command up.
	Cancel bool
	// Form are the fields that the client filled in; nil if there are none.
	Form Form
}

// Registration is what a client registers.
type Registration struct {
	// Service is the push service: "fcm" or "apns" at p2, "tigase:messenger:apns:1" or the like at Tigase.
	Service string
	// Token is the device's token at the push service.
	Token string
	// SecondToken is a second token at APNs, for calls; empty if there is none.
	SecondToken string
	// Account is what the client recognises its account by, see [P2Hash]; empty if the client registers as at Tigase.
	Account string
	// Channel is the same for a room, if the client registers for a room's pushes.
	Channel string
	// Room is the address of that room.
	Room string
}

func parseCommand(h Header, command *element) *Command {
	return &Command{
		Header:  h,
		Node:    command.attr("node"),
		Session: command.attr("sessionid"),
		Cancel:  command.attr("action") == "cancel",
		Form:    formIn(command, ""),
	}
}

// Action returns what the client wants.
func (c *Command) Action() Action {
	switch {
	case c.Node == tigaseRegister:
		return RegisterTigase
	case c.Node == tigaseUnregister:
		return UnregisterTigase
	case strings.HasPrefix(c.Node, p2Register):
		return RegisterP2
	case strings.HasPrefix(c.Node, p2Unregister):
		return UnregisterP2
	}
	return OtherCommand
}

// Registration returns what a client registers. It fails if a field is missing or too long, or if the command registers nothing. The error
// contains no value of the form.
func (c *Command) Registration() (Registration, error) {
	var r Registration
	switch c.Action() {
	case RegisterTigase:
		r = Registration{Service: c.Form["provider"], Token: c.Form["device-token"], SecondToken: c.Form["device-second-token"]}
	case RegisterP2:
		device := c.Form["device-id"]
		if device == "" {
			device = c.Form["android-id"]
		}
		if strings.TrimSpace(device) == "" || len(device) > maxDeviceID {
			return Registration{}, errForm
		}
		r = Registration{Service: strings.TrimPrefix(c.Node, p2Register), Token: c.Form["token"], Account: P2Hash(Bare(c.From), device)}
		if r.Room = c.Form["muc"]; r.Room != "" {
			if Bare(r.Room) != r.Room {
				return Registration{}, errForm
			}
			r.Channel = P2Hash(r.Room, device)
		}
	default:
		return Registration{}, errForm
	}
	if r.Service == "" || strings.TrimSpace(r.Token) == "" || len(r.Token) > maxDeviceToken || len(r.SecondToken) > maxDeviceToken {
		return Registration{}, errForm
	}
	return r, nil
}

// Field is a field of the form in an answer.
type Field struct {
	Name   string
	Values []string
	// Multi reports that the field may have several values. Siskin reads the field "features" only if it is of that type.
	Multi bool
}

// Completed returns the answer to a command that was carried out.
func (c *Command) Completed(fields ...Field) []byte {
	session := c.Session
	if session == "" {
		session = c.ID // a session that is completed needs no more than a name
	}
	return c.result(func(b *bytes.Buffer) {
		open(b, "command", "xmlns", nsCommands, "node", c.Node, "sessionid", session, "status", "completed")
		b.WriteByte('>')
		if len(fields) > 0 {
			writeForm(b, fields)
		}
		b.WriteString("</command>")
	})
}

// Canceled returns the answer to a command that the client gave up.
func (c *Command) Canceled() []byte {
	return c.result(func(b *bytes.Buffer) {
		open(b, "command", "xmlns", nsCommands, "node", c.Node, "sessionid", c.Session, "status", "canceled")
		b.WriteString("/>")
	})
}

// Refusal is why a command is not carried out.
type Refusal uint8

// The refusals.
const (
	// NotNow: the client should try again later.
	NotNow Refusal = iota
	// BadForm: the form of the registration is incomplete.
	BadForm
	// UnknownCommand: there is no such command, or no app for the push service.
	UnknownCommand
	// NotAllowed: the sender may not register.
	NotAllowed
)

// Refuse returns an error as the answer to a command.
func (c *Command) Refuse(r Refusal) []byte {
	switch r {
	case BadForm:
		return c.fail(badRequest, "")
	case UnknownCommand:
		return c.fail(gone, "")
	case NotAllowed:
		return c.fail(forbidden, "")
	}
	return c.fail(later, "")
}
