package command

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// simulateFlags choose the rules, the event, the room, and the device that would get the push.
type simulateFlags struct {
	cmd         *cobra.Command
	account     accountFlags
	rules       string
	defaults    string
	experiments []string

	event   string
	eventID string
	made    madeEvent

	facts factFlags

	software string
	all      bool

	device deviceFlags
	data   string
	site   string
}

func (p *program) simulate() *cobra.Command {
	f := new(simulateFlags)
	cmd := p.leaf("simulate", "Shows which push rule decides about an event, and why",
		`Shows which push rule decides about an event, and why. If the rule notifies the
user, it also shows the notify request that the homeserver would send. Nothing is
sent, and nothing is changed.

The rules come from --rules, --defaults or --homeserver. The event comes from
--event, from --room and --event-id, or is made from --text, --type, --encrypted or
--invite. With --homeserver and --room, the command reads the room's state.

With --app-id, it also shows what the running gateway would send for the app. For
that, give the pushkey, or let the command find the pusher with --homeserver.

Exits with 0 whether or not the event notifies the user.

The access token is read from a file or from standard input. A token on the
command line is refused, because all users of the machine can see it.
`+pushkeyHelp, 0, 0, func(i *invocation) error { return simulate(i, f) })
	f.cmd = cmd
	flags := cmd.Flags()
	flags.StringVar(&f.rules, "rules", "", "A file with the user's push rules, as GET /pushrules/ returns them; use - for standard input")
	flags.StringVar(&f.defaults, "defaults", "",
		"Use the default rules of a version of the specification, such as v1.17, or of Synapse: synapse")
	flags.StringSliceVar(&f.experiments, "experiment", nil, "A proposal that the homeserver has turned on, such as msc4028")
	f.account.addTo(cmd)
	flags.StringVar(&f.event, "event", "", "A file with the event as JSON; use - for standard input")
	flags.StringVar(&f.eventID, "event-id", "", "The ID of an event in the room, to be read from the homeserver")
	f.made.addTo(cmd)
	f.facts.addTo(cmd)
	flags.StringVar(&f.software, "software", "",
		"The homeserver's software: "+strings.Join(softwares(), ", ")+" (default: what --homeserver reports, or else synapse)")
	flags.BoolVar(&f.all, "all", false, "Also try the rules after the one that decides, and conditions after one that fails")
	f.device.addTo(cmd)
	flags.StringVar(&f.data, "data", "", `The pusher's data as JSON, such as {"format":"event_id_only"}`)
	flags.StringVar(&f.site, "site", "", "Treat the notification as received at this site, given as host or host:port")
	return cmd
}

// softwares returns the names of the homeservers whose differences are known.
func softwares() (names []string) {
	for _, h := range pushrules.Homeservers() {
		names = append(names, string(h))
	}
	return names
}

// given reports whether a flag is set.
func (f *simulateFlags) given(name string) bool { return f.cmd.Flags().Changed(name) }

// check returns an error if the flags contradict each other.
func (f *simulateFlags) check() error {
	sources := 0
	for _, name := range []string{"rules", "defaults", "homeserver"} {
		if f.given(name) {
			sources++
		}
	}
	switch {
	case sources == 0:
		return misuse("the push rules are missing: set --rules, --defaults or --homeserver")
	case f.given("rules") && f.given("defaults"):
		return misuse("--rules and --defaults cannot be used together")
	case f.given("homeserver") && f.given("user"):
		return misuse("--user cannot be used with --homeserver: the user is the one whose token it is")
	case !f.given("homeserver") && f.account.tokenGiven():
		return misuse("--homeserver is missing: the token is for a homeserver")
	case f.eventID != "" && (f.account.address == "" || f.made.room == ""):
		return misuse("--event-id needs --homeserver and --room: the event is read from the room")
	case f.software != "" && !slices.Contains(softwares(), f.software):
		return misuse("--software: %s is not known%s", nearest.Shown(f.software), nearest.Instead(f.software, "names", softwares()))
	case f.device.appID == "" && (f.device.given() || f.data != "" || f.site != ""):
		return misuse("--app-id is missing: a pushkey, --data and --site are for an app")
	}
	for _, name := range f.experiments {
		if !slices.Contains(pushrules.Experiments(), name) {
			return misuse("--experiment: %s is not known%s", nearest.Shown(name), nearest.Instead(name, "proposals", pushrules.Experiments()))
		}
	}
	return f.checkInputs()
}

// checkInputs returns an error if there is not exactly one event, or if several flags read standard input.
func (f *simulateFlags) checkInputs() error {
	events := 0
	for _, is := range []bool{f.event != "", f.eventID != "", f.made.given(f.given)} {
		if is {
			events++
		}
	}
	switch {
	case events == 0 && f.facts.file == "":
		return misuse("the event is missing: set --text, --type, --encrypted, --invite or --event, or --room and --event-id")
	case f.made.sender != "" && !f.made.given(f.given):
		return misuse("--sender is for an event that is made: add --text, --type, --encrypted or --invite")
	case events > 1:
		return misuse("there are several events: use only one of --event, --event-id, and the flags that make an event")
	}
	var stdin []string
	for flag, value := range map[string]string{
		"--rules": f.rules, "--event": f.event, "--facts": f.facts.file, "--token": f.account.token, "--token-file": f.account.tokenFile,
		"--pushkey": f.device.pushkey,
	} {
		if value == "-" {
			stdin = append(stdin, flag)
		}
	}
	if slices.Sort(stdin); len(stdin) > 1 {
		return misuse("only one flag can read standard input: use a file for one of %s", strings.Join(stdin, " and "))
	}
	return nil
}

func simulate(i *invocation, f *simulateFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	s, err := i.simulation(f)
	if err != nil {
		return err
	}
	if i.json {
		return i.encode(s.report())
	}
	s.print(i)
	return nil
}
