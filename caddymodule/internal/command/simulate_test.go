package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const theUser = "--user @alice:hs.test "

// TestSimulateShowsWhichRuleDecidesAndWhy has a file in testdata for each output.
func TestSimulateShowsWhichRuleDecidesAndWhy(t *testing.T) {
	t.Parallel()
	const rules, spec = "--rules testdata/simulate/rules.json " + theUser, "--defaults v1.9 " + theUser
	for name, args := range map[string]string{
		"text":            "--defaults v1.17 --members 5 --room-name Tea --text hello " + theUser, // Q17, Q16
		"keyword-inside":  rules + "--text 我喜欢蛋糕的",                                                // Q10, Q22
		"keyword-alone":   rules + "--text 你好，蛋糕！",                                                // Q10
		"name-pattern":    rules + "--display-name w?o --text woo",                                // Q11, Q22
		"odd-all":         "--rules testdata/simulate/odd.json --all --text hello " + theUser,     // Q14, Q15, Q16
		"all":             rules + "--all --text hello",                                           // Q18
		"own-event":       rules + "--sender @alice:hs.test --text hello",                         // Q19
		"ignored-sender":  rules + "--facts testdata/simulate/facts.json --sender @eve:hs.test --text hello",
		"encrypted":       rules + "--encrypted --members 5",                                               // Q20
		"mentions":        spec + "--members 5 --display-name Alice --mention @carol:hs.test --text Alice", // Q21
		"muted-room":      rules + "--room !muted:hs.test --text alice",                                    // Q23
		"quiet-room-call": rules + "--room !quiet:hs.test --type m.call.invite",
		"muted-sender":    rules + "--sender @carol:hs.test --text hello",
		"no-rule":         rules + "--type m.sticker", // Q23
		"invite":          "--defaults synapse --invite --sender @bob:hs.test --room-name Tea " + theUser,
		"facts":           "--rules testdata/simulate/rules.json --facts testdata/simulate/facts.json",
		"software":        "--software tuwunel --defaults v1.9 --members 5 --text hello " + theUser,
		"dendrite":        "--software dendrite --defaults v1.6 --text alice " + theUser,
		"msc4028":         "--defaults synapse --experiment msc4028 --encrypted --members 9 " + theUser,
		"mention-of-room": "--defaults synapse --power 50 --members 9 --mention room --text all " + theUser,
		"not-in-the-room": "--software dendrite --facts testdata/simulate/left.json --defaults v1.6 --text alice",
		"wide":            rules + "--text " + strings.Repeat("cake", 50),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := world{columns: 80}.run(t, append([]string{"simulate"}, strings.Fields(args)...)...)
			if r.want(t, 0); r.err != "" {
				t.Errorf("printed %s", r.err)
			}
			golden(t, "simulate/"+name, r.out)
		})
	}
}

// Q13
func TestSimulateReadsEachFormOfARuleset(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("testdata/simulate/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(whole, &answer); err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]string{
		"the answer of the homeserver": string(whole),
		"its member global":            string(answer["global"]),
		"the account data":             `{"type":"m.push_rules","content":` + string(whole) + `}`,
	} {
		r := world{stdin: form}.run(t, "simulate", "--rules", "-", "--user", "@alice:hs.test", "--text", "hello", "--members", "5")
		if r.want(t, 0, "underride/.m.rule.message decides: notify.\n"); r.err != "" {
			t.Errorf("%s: %s", name, r.err)
		}
	}
}

func TestSimulateNamesWhatIsWrongInOneSentence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const spec = "--defaults v1.17 " + theUser
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"--text a " + theUser, "the push rules are missing: set --rules, --defaults or --homeserver", exitUsage},
		{"--rules a --defaults v1.9 --text a " + theUser, "--rules and --defaults cannot be used together", exitUsage},
		{"--defaults v1.17 --text a", "the user is missing: set --user, such as @alice:example.org", exitUsage},
		{"--defaults v1.17 --user alice --text a", `the user's ID "alice" is not an ID such as @alice:example.org`, exitUsage},
		{"--defaults 1.17 --text a " + theUser, `--defaults: "1.17" is not a version of the specification: write one of r0.6.1, v1.2`, exitUsage},
		{spec, "the event is missing: set --text, --type, --encrypted, --invite or --event, or --room and --event-id", exitUsage},
		{spec + "--text a --event b", "there are several events", exitUsage},
		{spec + "--invite --text a", "an invite has no text", exitUsage},
		{spec + "--encrypted --type m.x", "--encrypted and --type cannot be used together", exitUsage},
		{spec + "--event a --sender @a:b", "--sender is for an event that is made", exitUsage},
		{spec + "--event-id $a", "--event-id needs --homeserver and --room", exitUsage},
		{spec + "--text a --software synaps", `--software: "synaps" is not known: did you mean "synapse"?`, exitUsage},
		{spec + "--text a --experiment msc4029", `--experiment: "msc4029" is not known: did you mean "msc4028"?`, exitUsage},
		{spec + "--text a --pushkey -", "--app-id is missing", exitUsage},
		{spec + "--text a --app-id org.example.ios", "--pushkey or --pushkey-file is missing", exitUsage},
		{spec + "--text a --app-id a --pushkey " + canary + " --data 5", "--data is not a JSON object", exitUsage},
		{"--rules - --event - " + theUser, "only one flag can read standard input: use a file for one of --event and --rules", exitUsage},
		{spec + "--text a --token -", "--homeserver is missing", exitUsage},
		{"--homeserver localhost --text a --token " + canary, "write --token - or --token-file", exitUsage},
		{"--homeserver localhost --text a", "the access token is missing", exitUsage},
		{"--homeserver localhost --text a --token - " + theUser, "--user cannot be used with --homeserver", exitUsage},

		{"--rules " + dir + "/nowhere --text a " + theUser, "no such file", exitFailed},
		{"--rules " + file("html", "<html>") + " --text a " + theUser, "html: the ruleset is not a JSON object", exitFailed},
		{"--rules " + file("list", "[]") + " --text a " + theUser, "write what GET /_matrix/client/v3/pushrules/ answers", exitFailed},
		{"--rules " + file("other", `{"pushers":[]}`) + " --text a " + theUser, "other: not a ruleset: it has no member global", exitFailed},
		{"--rules " + file("kind", `{"override":{}}`) + " --text a " + theUser, "kind: override: not a list of rules", exitFailed},
		{spec + "--event " + file("text", "hello"), "text: the event is not a JSON object", exitFailed},
		{spec + "--event " + file("typeless", `{"sender":"@a:b"}`), "typeless: type: the event has no type: write an event such as", exitFailed},
		{spec + "--event " + file("large", strings.Repeat(" ", maxEvent+1)), "--event: the input has more than 1024 KiB", exitFailed},
		{spec + "--text a --facts " + file("facts", "[]"), "facts: not a JSON object: write facts such as", exitFailed},
		{spec + "--text a --facts " + file("odd", `{"room_member_cuont":2}`), `did you mean "room_member_count"?`, exitFailed},
		{
			spec + "--text a --facts " + file("wrong", `{"room_member_count":"2"}`), "wrong: room_member_count: a JSON string is of the wrong type",
			exitFailed,
		},
		{spec + "--facts " + file("eventless", `{"unread":2}`), "add the member event to the file of --facts", exitUsage},
		{
			spec + "--text a --facts " + file("related", `{"related_events":{"$a":{}}}`), "related_events: $a: type: the event has no type",
			exitFailed,
		},
		{"--homeserver http://example.org --token - --text a", "--homeserver: the homeserver's address uses http", exitFailed},
	} {
		r := world{stdin: "token\n"}.run(t, append([]string{"simulate"}, strings.Fields(c.args)...)...)
		r.want(t, c.code, c.want)
		if !strings.HasPrefix(r.err, "Error: ") || strings.Count(r.err, "\n") != 1+c.code/exitUsage || r.out != "" {
			t.Errorf("%s prints %q and %q", c.args, r.out, r.err)
		}
	}
}

func TestSimulatePrintsJSON(t *testing.T) {
	t.Parallel()
	r := world{}.run(t, strings.Fields("simulate --json --rules testdata/simulate/rules.json --display-name w?o --text woo "+theUser)...)
	r.want(t, 0)
	var indented strings.Builder
	var got map[string]any
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	encoder := json.NewEncoder(&indented)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(got); err != nil {
		t.Fatal(err)
	}
	golden(t, "simulate/json", indented.String())
}
