package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/matrix-push/caddy-matrix-push/internal/nearest"
)

// page is the page of the documentation that describes the command.
const page = "https://github.com/matrix-push/caddy-matrix-push/blob/main/docs/admin.md"

// examples are the examples of each command, without `caddy matrix-push`. The first one also appears in the help of the groups above.
var examples = map[string][]string{
	"status": {
		"status",
		"status --strict --config /etc/caddy/Caddyfile",
		"status --json --address unix//run/caddy/admin.sock",
	},
	"ui": {
		"ui",
		"ui --address unix//run/caddy/admin.sock",
		"ui --port 8765 --config /etc/caddy/Caddyfile",
	},
	"send": {
		"send --app-id org.example.ios --pushkey -",
		"send --app-id org.example.ios --pushkey-file pushkey --low",
		"send --app-id org.example.ios --pushkey - --dry-run",
		"send --app-id org.example.up --pushkey - --site example.org",
		"send --request notification.json",
	},
	"simulate": {
		"simulate --defaults v1.17 --user @al:example.org --text hi",
		"simulate --homeserver example.org --token-file t --text hi",
		"simulate --rules rules.json --facts facts.json --all",
		"simulate --homeserver example.org --token - --invite --json",
	},
	"doctor": {
		"doctor --homeserver https://matrix.example.org --token -",
		"doctor --homeserver https://example.org --token - --send",
		"doctor --homeserver example.org --token-file token --probe",
	},
	"rejected list": {
		"rejected list",
		"rejected list --app org.example.ios --limit 20",
		"rejected list --state suspected",
	},
	"rejected explain": {
		"rejected explain --app-id org.example.ios --pushkey -",
		"rejected explain --hash c70c606c",
	},
	"rejected forget": {
		"rejected forget --hash c70c606c",
		"rejected forget --app org.example.ios --since 2h",
	},
	"outbox list": {
		"outbox list",
		"outbox list --app org.example.ios --limit 20",
	},
	"outbox retry": {
		"outbox retry --app org.example.ios",
		"outbox retry --app org.example.ios --hash c70c606c",
	},
	"outbox drop": {
		"outbox drop --app org.example.ios --hash c70c606c",
		"outbox drop --app org.example.ios --all",
	},
	"outbox move-shards": {
		"outbox move-shards --config /etc/caddy/Caddyfile",
	},
	"fuse reset": {
		"fuse reset --app org.example.ios",
		"fuse reset --unknown-apps",
	},
	"xmpp keys": {
		"xmpp keys",
	},
	"xmpp rotate-keys": {
		"xmpp rotate-keys push.example.org",
	},
	"vapid-key": {
		"vapid-key",
		"vapid-key org.example.web",
	},
	"vapid-keygen": {
		"vapid-keygen /etc/caddy/vapid.pem",
	},
	"check": {
		"check --config /etc/caddy/Caddyfile",
		"check --config /etc/caddy/Caddyfile --live",
		"check --config sygnal.yaml --adapter sygnal",
	},
}

// setHelp sets the help texts of a command and its subcommands. They are at most 80 columns wide, and name the project's page, since Caddy's
// own pages don't describe these commands.
func setHelp(cmd *cobra.Command) {
	cmd.SetUsageTemplate(strings.NewReplacer(
		".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", usualWidth),
		`Use "{{.CommandPath}} [command] --help" for more information about a command.`, "Help for a command: {{.CommandPath}} <command> --help",
	).Replace(cmd.UsageTemplate()))
	cmd.SetHelpTemplate(cmd.HelpTemplate() + "\nDocumentation:\n" + page + "\n")
	complete(cmd, "")
}

// complete adds the examples to a command and its subcommands, and wraps their texts. It returns the first example of each.
func complete(cmd *cobra.Command, path string) (first []string) {
	cmd.Long = reflow(cmd.Long)
	list := examples[path]
	for _, sub := range cmd.Commands() {
		first = append(first, complete(sub, strings.TrimSpace(path+" "+sub.Name()))...)
	}
	if cmd.HasSubCommands() {
		list = first
	} else if len(list) > 0 {
		first = list[:1]
	}
	if len(list) > 0 {
		const prefix = "  caddy matrix-push "
		cmd.Example = prefix + strings.Join(list, "\n"+prefix)
	}
	return first
}

// reflow wraps the paragraphs of a text. Those with indented lines, such as tables, stay as they are.
func reflow(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if !strings.Contains(p, "\n ") {
			paragraphs[i] = strings.Join(wrap(p, usualWidth), "\n")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// commandError is the error for a subcommand that does not exist.
func commandError(cmd *cobra.Command, name string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if near := nearest.DidYouMean(name, names); near != "" {
		return fmt.Errorf("unknown command %q%s", name, near)
	}
	return fmt.Errorf("unknown command %q: the commands are %s", name, strings.Join(names, ", "))
}

// flagError adds the flag that was probably meant to an error about a flag that does not exist.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return fmt.Errorf("%w%s", err, nearest.DidYouMean("--"+unknown.GetSpecifiedName(), names))
}
