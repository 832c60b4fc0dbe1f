package pushrules_test

import (
	"context"
	"fmt"
	"log"

	"github.com/matrix-push/caddy-matrix-push/pushrules"
)

// A user has muted a room, and asks why a message in it doesn't notify them.
func Example() {
	rules, err := pushrules.Parse([]byte(`{"global": {
		"override": [
			{"rule_id": ".m.rule.master", "default": true, "enabled": false, "conditions": [], "actions": []},
			{"rule_id": "!tea:example.org", "enabled": true, "actions": [], "conditions": [
				{"kind": "event_match", "key": "room_id", "pattern": "!tea:example.org"}
			]}
		],
		"underride": [
			{"rule_id": ".m.rule.message", "default": true, "enabled": true, "actions": ["notify"], "conditions": [
				{"kind": "event_match", "key": "type", "pattern": "m.room.message"}
			]}
		]
	}}`))
	if err != nil {
		log.Fatal(err)
	}
	event, err := pushrules.ParseEvent([]byte(`{"type": "m.room.message", "sender": "@bob:example.org", "room_id": "!tea:example.org",
		"content": {"msgtype": "m.text", "body": "Tea?"}}`))
	if err != nil {
		log.Fatal(err)
	}
	viewer := &pushrules.Viewer{UserID: "@alice:example.org", DisplayName: "Alice", Members: 5}
	result, err := pushrules.Evaluate(context.Background(), rules, event, viewer, pushrules.Options{Reading: pushrules.Synapse})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(result)
	// Output:
	// override/.m.rule.master: disabled
	// override/!tea:example.org: matched
	//   holds: room_id matches "!tea:example.org"; met "!tea:example.org"
	// override/!tea:example.org decides without notify: no push, no count.
}
