package command

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/describe"
	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/doctor"
)

// diagnosis prints what doctor found: the worst first, then the pushers, and then what rings.
func (i *invocation) diagnosis(r *doctor.Report) {
	problems := r.Problems()
	notes := len(r.Findings) - problems
	switch {
	case problems > 0:
		i.say(red, "Found %s and %s for %s.", describe.Count(problems, "problem", "problems"), describe.Count(notes, "note", "notes"), r.UserID)
	case notes > 0:
		i.say(green, "Found no problem and %s for %s.", describe.Count(notes, "note", "notes"), r.UserID)
	default:
		i.say(green, "Found no problem for %s.", r.UserID)
	}
	i.pushers(r)
	i.findings(r)
	i.rings(r)
}

// pushers prints a line for each pusher.
func (i *invocation) pushers(r *doctor.Report) {
	if len(r.Pushers) == 0 {
		return
	}
	fmt.Fprintln(i.out)
	t := newTable("PUSHER", "APP ID", "PUSHKEY", "GATEWAY", "RESULT")
	for _, p := range r.Pushers {
		text, c := pusherResult(r, &p)
		row := cells(fmt.Sprint(p.Index), p.AppID, p.PushkeyHash[:8], p.Gateway, text)
		row[4].colour = c
		t.add(row...)
	}
	t.write(i.out, i.style)
}

// pusherResult returns the result of a pusher's checks in a few words.
func pusherResult(r *doctor.Report, p *doctor.Pusher) (string, colour) {
	problems := 0
	for _, f := range r.Findings {
		if f.Pusher == p.Index && f.Severity == doctor.Problem {
			problems++
		}
	}
	switch {
	case problems > 0:
		return describe.Count(problems, "problem", "problems"), red
	case p.Kind != "http":
		return "kind " + cmp.Or(p.Kind, "unknown"), plain
	case !p.Ours:
		return "another gateway", yellow
	}
	return "ok", green
}

// findings prints all findings: what was found, and what to do.
func (i *invocation) findings(r *doctor.Report) {
	for _, f := range r.Findings {
		c, label := red, "Problem"
		if f.Severity == doctor.Note {
			c, label = yellow, "Note"
		}
		heading := label + ": " + f.Code
		if f.Pusher > 0 {
			heading += fmt.Sprintf(", pusher %d", f.Pusher)
		}
		fmt.Fprintln(i.out)
		fmt.Fprintln(i.out, i.style.paint(c, heading))
		for _, text := range []string{f.Text, "To do: " + f.Action} {
			fmt.Fprintln(i.out, "  "+i.style.wrapped(2, printable(strings.TrimSpace(text))))
		}
	}
}

// eventNames are the names of the usual events in the table.
var eventNames = map[string]string{
	"direct_message": "direct message", "direct_message_encrypted": "direct, encrypted", "group_message": "group message",
	"group_message_encrypted": "group, encrypted", "mention": "mention", "invitation": "invitation", "call": "call",
}

// rings prints what the push rules make of the usual events.
func (i *invocation) rings(r *doctor.Report) {
	fmt.Fprintln(i.out)
	t := newTable("EVENT", "RINGS", "PRIORITY", "RULE")
	for _, ring := range r.Rings {
		result := cell{"no push", yellow}
		switch {
		case ring.Push && ring.Sound != "":
			result = cell{"yes", green}
		case ring.Push:
			result = cell{"silent", plain}
		}
		_, rule, _ := strings.Cut(ring.Rule, "/")
		row := cells(eventNames[ring.Event], "", ring.Priority, rule)
		row[1] = result
		t.add(row...)
	}
	t.write(i.out, i.style)
}
