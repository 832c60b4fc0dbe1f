package command

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// logIn connects to the homeserver, if there is one, and finds out who the user is.
func (s *simulation) logIn(in io.Reader) (err error) {
	s.software, s.assumed = pushrules.Homeserver(s.flags.software), false
	if s.software == "" {
		s.software, s.assumed = pushrules.SynapseServer, true
	}
	if s.flags.account.address == "" {
		return nil
	}
	if s.account, err = s.flags.account.client(in); err != nil {
		return err
	}
	versions, err := s.account.Versions(s.ctx)
	if err != nil {
		return fmt.Errorf("--homeserver: %w", err)
	}
	me, err := s.account.WhoAmI(s.ctx)
	if err != nil {
		return err
	}
	s.userID = me.UserID
	if named, ok := pushrules.HomeserverNamed(versions.Server); ok && s.assumed {
		s.software, s.assumed = named, false
	}
	return nil
}

// readRoom reads what the homeserver knows about the user and the room.
func (s *simulation) readRoom(written []byte) error {
	if s.account == nil {
		return nil
	}
	known, err := usualFacts(), error(nil)
	if known.Ignored, err = s.account.IgnoredUsers(s.ctx, s.userID); err != nil {
		return err
	}
	if s.flags.made.room != "" {
		if err := s.readState(&known); err != nil {
			return err
		}
	}
	return s.know(known, written)
}

// readState reads the state of the room. It is the state that the room has now, and not when the event was sent.
func (s *simulation) readState(known *facts) error {
	room := s.flags.made.room
	own, err := s.state("m.room.member", s.userID)
	if err != nil {
		return err
	}
	known.DisplayName, known.Membership = contentText(own, "displayname"), cmp.Or(contentText(own, "membership"), "leave")
	if !s.flags.given("members") {
		n, err := s.account.JoinedMembers(s.ctx, room)
		if err != nil {
			return err
		}
		known.Members = uint64(n)
	}
	sender, err := s.state("m.room.member", s.event.Sender())
	if err != nil {
		return err
	}
	known.SenderName = contentText(sender, "displayname")
	create, err := s.state("m.room.create", "")
	if err != nil {
		return err
	}
	levels, err := s.state("m.room.power_levels", "")
	if err != nil {
		return err
	}
	power, notifications := pushrules.Power(create, levels, s.event.Sender())
	known.Power, known.Levels = &power, notifications
	name, err := s.state("m.room.name", "")
	if err != nil {
		return err
	}
	alias, err := s.state("m.room.canonical_alias", "")
	known.RoomName, known.RoomAlias = contentText(name, "name"), contentText(alias, "alias")
	return err
}

// state returns a state event of the room, or nil if there is none.
func (s *simulation) state(eventType, key string) (*pushrules.Event, error) {
	raw, err := s.account.StateEvent(s.ctx, s.flags.made.room, eventType, key)
	switch {
	case homeserver.NotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return pushrules.ParseEvent(raw)
}

// contentText returns a text in an event's content.
func contentText(e *pushrules.Event, name string) string {
	if e == nil {
		return ""
	}
	content, _ := e.Member("content")
	members, _ := content.(map[string]any)
	text, _ := members[name].(string)
	return text
}

// pusher returns the pushkey and the data of the user's only pusher with an app_id. Errors have no pushkeys.
func (s *simulation) pusher(appID string) (pushkey string, data json.RawMessage, err error) {
	pushers, err := s.account.Pushers(s.ctx)
	if err != nil {
		return "", nil, err
	}
	found := 0
	for _, p := range pushers {
		if p.AppID == appID && p.Kind == "http" {
			found++
			pushkey, data = p.Pushkey, p.Data
		}
	}
	switch {
	case found == 0:
		return "", nil, fmt.Errorf("--app-id: %s has no pusher with the app_id %q: start the app, so it registers one", s.userID, appID)
	case found > 1:
		return "", nil, fmt.Errorf("--app-id: %s has %d pushers with the app_id %q: choose one with --pushkey-file", s.userID, found, appID)
	}
	return pushkey, data, nil
}
