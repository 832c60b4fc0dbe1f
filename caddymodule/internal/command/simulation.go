package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// simulation is an event that is evaluated for a user.
type simulation struct {
	ctx     context.Context
	flags   *simulateFlags
	account *homeserver.Client // nil without a homeserver

	software pushrules.Homeserver
	assumed  bool // whether nobody named the software
	rules    *pushrules.Ruleset
	// source describes where the rules come from.
	source  string
	options pushrules.Options

	userID   string // the token's user
	facts    facts
	viewer   *pushrules.Viewer
	event    *pushrules.Event
	rawEvent json.RawMessage

	// result is the decision in the reading that is closest to the software, and other in the other reading.
	result, other *pushrules.Result
	difference    *pushrules.Difference
	// passed reports that the homeserver doesn't evaluate the user's rules, because the user is not in the room.
	passed bool
	// requests has the notify requests by format, if there is a push. They don't have the pushkey.
	requests map[string]map[string]any
	// format is the one of the device, and previewed what the gateway makes of that request.
	format    string
	previewed *previewed
}

// hiddenPushkey stands for the pushkey in the requests that are shown. What else identifies a device to its push server is hidden alike.
const hiddenPushkey = "<pushkey>"

// The formats of pushers.
const (
	formatFull = "full"
	formatIDs  = "event_id_only"
)

// simulation reads everything and evaluates the event.
func (i *invocation) simulation(f *simulateFlags) (*simulation, error) {
	s := &simulation{ctx: i.ctx, flags: f}
	written, err := f.facts.read(i.in)
	if err != nil {
		return nil, err
	}
	if err := s.logIn(i.in); err != nil {
		return nil, err
	}
	if err := s.know(usualFacts(), written); err != nil {
		return nil, err
	}
	if err := s.facts.checkUser(); err != nil {
		return nil, err
	}
	if err := s.readRules(i.in); err != nil {
		return nil, err
	}
	raw, name, err := s.readEvent(i.in, s.facts.Event)
	if err != nil {
		return nil, err
	}
	if err := s.parseEvent(raw, name); err != nil {
		return nil, err
	}
	if err := s.readRoom(written); err != nil {
		return nil, err
	}
	if err := s.evaluate(); err != nil {
		return nil, err
	}
	return s, s.push(i)
}

// know sets the facts: those that are usual or that the homeserver has, changed by those of the file and of the flags.
func (s *simulation) know(base facts, written []byte) error {
	if err := s.flags.facts.merge(written, &base); err != nil {
		return err
	}
	s.flags.facts.override(s.flags.given, &base)
	if s.account != nil {
		base.UserID = s.userID
	}
	s.facts = base
	return nil
}

// synapseRules is a name for Synapse's default rules that doesn't change with its version.
const synapseRules = "synapse"

// readRules reads the rules.
func (s *simulation) readRules(in io.Reader) (err error) {
	f := s.flags
	s.options = pushrules.Options{Experiments: slices.Clone(f.experiments), All: f.all}
	for name, on := range s.facts.Experiment {
		if on {
			s.options.Experiments = append(s.options.Experiments, name)
		}
	}
	switch {
	case f.defaults != "":
		return s.defaultRules(f.defaults)
	case s.account != nil && f.rules == "":
		s.source = s.facts.UserID + " at " + s.account.Address()
		raw, err := s.account.PushRules(s.ctx)
		if err != nil {
			return err
		}
		if s.rules, err = pushrules.Parse(raw); err != nil {
			return fmt.Errorf("the push rules that %s sends: %w", s.account.Address(), err)
		}
		return nil
	}
	raw, err := readInput("--rules", f.rules, in, maxRules)
	if err != nil {
		return err
	}
	if s.source = f.rules; f.rules == "-" {
		s.source = "standard input"
	}
	if s.rules, err = pushrules.Parse(raw); err != nil {
		return fmt.Errorf("--rules %s: %w: write what GET /_matrix/client/v3/pushrules/ answers", f.rules, err)
	}
	return nil
}

func (s *simulation) defaultRules(age string) (err error) {
	if age == synapseRules {
		age = pushrules.SynapseAge
	}
	s.source = "default rules of " + age
	if age != pushrules.SynapseAge {
		s.options.Age = age
	}
	if s.rules, err = pushrules.Defaults(age, s.facts.UserID, s.options.Experiments...); err != nil {
		known := strings.Join(pushrules.Ages(), ", ")
		return misuse("--defaults: %s is not a version of the specification: write one of %s, or %s", nearest.Shown(age), known, synapseRules)
	}
	return nil
}

// evaluate evaluates the event in both readings.
func (s *simulation) evaluate() (err error) {
	if s.viewer, err = s.facts.viewer(s.software); err != nil {
		return s.flags.facts.wrong(err)
	}
	c, err := pushrules.Compare(s.ctx, s.rules, s.event, s.viewer, s.options)
	if err != nil {
		return err
	}
	s.result, s.other, s.difference = c.Spec, c.Synapse, c.Difference
	if s.software.Reading() == pushrules.Synapse {
		s.result, s.other = c.Synapse, c.Spec
	}
	s.passed = s.result.Skipped == "" && !s.software.Evaluates(s.event, s.facts.UserID, s.facts.membership(s.event))
	return nil
}

// notifies reports whether the homeserver sends a push.
func (s *simulation) notifies() bool { return s.result.Notify && !s.passed }

// push builds the requests if the event notifies the user. With an app, the gateway shows what it makes of the one that the device gets.
func (s *simulation) push(i *invocation) error {
	if !s.notifies() {
		return nil
	}
	device, err := s.device(i)
	if err != nil {
		return err
	}
	data, _ := device["data"].(map[string]any)
	s.format = formatFull
	if data["format"] == formatIDs {
		s.format = formatIDs
	}
	if s.flags.device.appID != "" {
		if s.previewed, err = i.askPreview(s.request(device, data, s.format), s.flags.site); err != nil {
			return err
		}
	}
	device["pushkey"], data = hiddenPushkey, maps.Clone(data)
	for _, secret := range []string{"endpoint", "auth"} { // those of a Web Push subscription
		if _, has := data[secret]; has {
			data[secret] = "<" + secret + ">"
		}
	}
	s.requests = make(map[string]map[string]any)
	for _, format := range []string{formatFull, formatIDs} {
		s.requests[format] = s.request(device, data, format)
	}
	return nil
}

// request returns the notify request for a pusher with a format.
func (s *simulation) request(device, data map[string]any, format string) map[string]any {
	device, data = maps.Clone(device), maps.Clone(data)
	if data == nil {
		data = make(map[string]any)
	}
	switch {
	case format == formatIDs:
		data["format"] = formatIDs
	case data["format"] == formatIDs:
		delete(data, "format")
	}
	device["data"] = data
	name := s.facts.SenderName
	if name == "" && s.software == pushrules.SynapseServer {
		name = s.event.Sender()
	}
	_, stable := data["disable_badge_count"]
	return s.software.Request(s.result, s.event, s.viewer, &pushrules.Delivery{
		SenderDisplayName: name, RoomName: s.facts.RoomName, RoomAlias: s.facts.RoomAlias, Unread: s.facts.Unread, Device: device,
		NoCounts: stable || data["org.matrix.msc4076.disable_badge_count"] == true,
	})
}

// device returns the device of the flags or of the homeserver's pusher. Without an app, it is a made-up one.
func (s *simulation) device(i *invocation) (map[string]any, error) {
	f := s.flags
	device := map[string]any{"app_id": "<app_id>", "pushkey": hiddenPushkey, "data": map[string]any{}}
	if s.software == pushrules.SynapseServer || s.software == pushrules.Dendrite { // the others don't send it
		device["pushkey_ts"] = i.now().Unix()
	}
	if f.device.appID == "" {
		return device, nil
	}
	device["app_id"] = f.device.appID
	var data []byte
	var err error
	if s.account != nil && f.device.pushkey == "" && f.device.pushkeyFile == "" {
		device["pushkey"], data, err = s.pusher(f.device.appID)
	} else {
		device["pushkey"], err = f.device.read(i.in)
	}
	if err != nil {
		return nil, err
	}
	if f.data != "" {
		data = []byte(f.data)
	}
	if data == nil {
		return device, nil
	}
	var members map[string]any
	if json.Unmarshal(data, &members) != nil {
		return nil, misuse("--data is not a JSON object")
	}
	device["data"] = members
	return device, nil
}
