package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// facts are what a homeserver knows about the user and the room. The names are those of pushrules/testdata/cases.json.
type facts struct {
	Event       json.RawMessage `json:"event"`
	UserID      string          `json:"user_id"`
	DisplayName string          `json:"display_name"`
	// Membership is the user's own in the room: join, unless the event is about it.
	Membership string   `json:"membership"`
	Ignored    []string `json:"ignored_users"`
	ProfileTag string   `json:"profile_tag"`

	Members uint64 `json:"room_member_count"`
	// Power is null if the sender's power level is unknown.
	Power      *int64                     `json:"sender_power_level"`
	Levels     map[string]int64           `json:"notification_levels"`
	Features   []string                   `json:"room_version_features"`
	Subscribed *bool                      `json:"thread_subscribed"`
	Related    map[string]json.RawMessage `json:"related_events"`
	Experiment map[string]bool            `json:"experimental"`

	RoomName   string `json:"room_name"`
	RoomAlias  string `json:"room_alias"`
	SenderName string `json:"sender_display_name"`
	Unread     uint64 `json:"unread"`
}

// factMembers returns the names of the facts.
func factMembers() (names []string) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[facts]()) {
		names = append(names, field.Tag.Get("json"))
	}
	return names
}

// usualFacts are those of a direct chat.
func usualFacts() facts { return facts{Members: 2, Power: new(int64), Unread: 1} }

// factFlags set the facts.
type factFlags struct {
	file, user, displayName string
	members, unread         uint64
	power                   int64
	roomName, senderName    string
}

func (f *factFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.file, "facts", "", "A file with facts about the user and the room as JSON; use - for standard input")
	flags.StringVar(&f.user, "user", "", "The ID of the user whose phone should ring, such as @alice:example.org")
	flags.StringVar(&f.displayName, "display-name", "", "The user's display name in the room")
	flags.Uint64Var(&f.members, "members", 2, "The number of joined members of the room")
	flags.Int64Var(&f.power, "power", 0, "The sender's power level")
	flags.Uint64Var(&f.unread, "unread", 1, "The user's number of unread notifications")
	flags.StringVar(&f.roomName, "room-name", "", "The room's name")
	flags.StringVar(&f.senderName, "sender-name", "", "The sender's display name")
}

// read returns the file's content, or nothing if there is no file.
func (f *factFlags) read(in io.Reader) ([]byte, error) {
	if f.file == "" {
		return nil, nil
	}
	raw, err := readInput("--facts", f.file, in, maxEvent)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return nil, f.wrong(errors.New(`not a JSON object: write facts such as {"room_member_count": 5}`))
	}
	known := factMembers()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !slices.Contains(known, name) {
			return nil, f.wrong(fmt.Errorf("the member %s is not known%s", nearest.Shown(name), nearest.Instead(name, "members", known)))
		}
	}
	return raw, nil
}

func (f *factFlags) wrong(err error) error { return fmt.Errorf("--facts %s: %w", f.file, err) }

// merge changes the facts to those of the file.
func (f *factFlags) merge(raw []byte, into *facts) error {
	if raw == nil {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
			err = fmt.Errorf("%s: a JSON %s is of the wrong type", wrong.Field, wrong.Value)
		}
		return f.wrong(err)
	}
	return nil
}

// override changes the facts to those of the flags.
func (f *factFlags) override(given func(string) bool, facts *facts) {
	for name, set := range map[string]func(){
		"user":         func() { facts.UserID = f.user },
		"display-name": func() { facts.DisplayName = f.displayName },
		"members":      func() { facts.Members = f.members },
		"power":        func() { facts.Power = &f.power },
		"unread":       func() { facts.Unread = f.unread },
		"room-name":    func() { facts.RoomName = f.roomName },
		"sender-name":  func() { facts.SenderName = f.senderName },
	} {
		if given(name) {
			set()
		}
	}
}

// viewer returns the user as package pushrules needs it.
func (f *facts) viewer(software pushrules.Homeserver) (*pushrules.Viewer, error) {
	v := &pushrules.Viewer{
		UserID: f.UserID, DisplayName: software.DisplayName(f.UserID, f.DisplayName, f.DisplayName), ProfileTag: f.ProfileTag,
		Ignored: f.Ignored, Members: f.Members, SenderPower: f.Power, Levels: f.Levels, Features: f.Features, Subscribed: f.Subscribed,
		Related: make(map[string]*pushrules.Event),
	}
	for id, raw := range f.Related {
		event, err := pushrules.ParseEvent(raw)
		if err != nil {
			return nil, fmt.Errorf("related_events: %s: %w", id, err)
		}
		v.Related[id] = event
	}
	return v, nil
}

// membership returns the user's membership in the room.
func (f *facts) membership(e *pushrules.Event) string {
	subject, isState := e.StateKey()
	content, _ := e.Member("content")
	members, _ := content.(map[string]any)
	about, _ := members["membership"].(string)
	switch {
	case f.Membership != "":
		return f.Membership
	case e.Type() == "m.room.member" && isState && subject == f.UserID && about != "":
		return about
	}
	return "join"
}

// checkUser returns an error if the user is missing or is not an ID.
func (f *facts) checkUser() error {
	switch {
	case f.UserID == "":
		return misuse("the user is missing: set --user, such as @alice:example.org")
	case !strings.HasPrefix(f.UserID, "@") || !strings.Contains(f.UserID, ":"):
		return misuse("the user's ID %s is not an ID such as @alice:example.org", nearest.Shown(f.UserID))
	}
	return nil
}
