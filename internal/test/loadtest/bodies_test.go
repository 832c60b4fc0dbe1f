package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEveryNotificationIsNewAndForTheNextDevices(t *testing.T) {
	t.Parallel()
	for _, provider := range providerNames {
		for _, shape := range shapes {
			t.Run(provider+" "+shape, func(t *testing.T) {
				t.Parallel()
				o := &options{Provider: provider, Body: shape, Devices: 2, Population: 6}
				b, err := newBodies(o, []string{"https://127.0.0.1:1", "https://127.0.0.1:2"})
				if err != nil {
					t.Fatal(err)
				}
				events, pushkeys := make(map[string]int), make(map[string]int)
				for n := range int64(6) {
					var request notifyRequest
					body := b.next(n)
					if err := json.Unmarshal(body, &request); err != nil || !json.Valid(body) {
						t.Fatalf("%s: %v", body, err)
					}
					events[request.Notification.EventID]++
					for _, d := range request.Notification.Devices {
						pushkeys[d.Pushkey]++
					}
					if n := request.Notification; n.badge() != (shape == "badge") || (len(n.Content) > 0) != (contents[shape] != "") || *n.Counts.Unread == 0 {
						t.Errorf("it is not a %s: %s", shape, body)
					}
				}
				if shape != "badge" && len(events) != 6 {
					t.Errorf("an event was repeated: %v", events)
				}
				if len(pushkeys) != 6 {
					t.Errorf("there are %d devices", len(pushkeys))
				}
				for pushkey, times := range pushkeys {
					if times != 2 {
						t.Errorf("%s has %d notifications", pushkey, times)
					}
				}
			})
		}
	}
}

func TestALongMessageIsLongerThanPushesMayBe(t *testing.T) {
	t.Parallel()
	if len(contents["long"]) < 8<<10 || strings.Count(contents["text"], "") > 300 {
		t.Error("the texts are not what they are called")
	}
}

func TestEachDeviceHasTheMembersThatOneGatewayNeeds(t *testing.T) {
	t.Parallel()
	o := small(t, `-provider fcm -device {"notify_via":"apns","data":{"data_message":"android"}}`)
	made, err := newBodies(o, []string{"https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	body := string(made.next(1))
	for _, want := range []string{`"notify_via":"apns"`, `"data":{"data_message":"android"}`, `"app_id":"` + appID + `"`, `"sound":"default"`} {
		if strings.Count(body, want) != 1 {
			t.Errorf("there is no %s in %s", want, body)
		}
	}
}
