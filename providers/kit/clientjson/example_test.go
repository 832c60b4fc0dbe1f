package clientjson_test

import (
	"encoding/json"
	"fmt"

	"github.com/matrix-push/caddy-matrix-push/providers"
	"github.com/matrix-push/caddy-matrix-push/providers/kit/clientjson"
)

// What the client wants in every message, and an option for the provider.
func Example() {
	device := &providers.Device{
		AppID: "org.example",
		Data:  json.RawMessage(`{"sound": "bell", "SOUND": 1, "default_payload": {"account": "a<b"}}`),
	}
	var data struct {
		Sound string `json:"sound"`
	}
	if err := clientjson.Unmarshal(device.Data, &data); err != nil {
		fmt.Println(err) // encoding/json would take the number for the sound
	}
	message := clientjson.DefaultPayload(device, nil)
	message["sound"] = clientjson.Marshal(data.Sound)
	fmt.Printf("%s\n", clientjson.Marshal(message))
	// Output: {"account":"a<b","sound":"bell"}
}

func ExampleMembers() {
	members, ok := clientjson.Members(json.RawMessage(`{"body": "hello", "msgtype": "m.text"}`))
	fmt.Println(len(members), ok)
	_, ok = clientjson.Members(json.RawMessage(`["hello"]`))
	fmt.Println(ok)
	// Output:
	// 2 true
	// false
}

// The text of a message, for a provider that shows it.
func ExampleString() {
	fmt.Println(clientjson.String(json.RawMessage(`{"body": "hello", "msgtype": "m.text"}`), "body"))
	// Output: hello
}
