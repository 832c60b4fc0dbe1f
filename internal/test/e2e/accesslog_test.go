package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTheAccessLogTellsHowManyDevicesWereServed(t *testing.T) {
	t.Parallel()
	service := newPushServer(t)
	gateway := startGateway(t, service.global("rejected memory"), `
		log
		log_append told_devices {http.matrix_push.devices}
		log_append told_delivered {http.matrix_push.delivered}
		log_append told_queued {http.matrix_push.queued}
		log_append told_duplicate {http.matrix_push.duplicate}
		log_append told_dropped {http.matrix_push.dropped}
		log_append told_rejected {http.matrix_push.rejected}
		log_append told_rejected_before {http.matrix_push.rejected_before}
		log_append told_unavailable {http.matrix_push.unavailable}
		matrix_push`)
	hs := gateway.homeserver()
	dead := service.Subscribe()
	service.Answer(dead.Path, answerGone)
	for _, tt := range []struct{ request, want string }{
		{
			alert("$1", webPushDevice(dead), upDevice(service.Endpoint("phone"))),
			`"push_devices":2,"push_rejected":1,"push_unavailable":0,` + told(2, 1, 0, 0, 0, 1, 0, 0),
		},
		{
			alert("$1", webPushDevice(dead), upDevice(service.Origin()+"/up/phone"), upDevice("nonsense")),
			`"push_devices":3,"push_rejected":2,"push_unavailable":0,` + told(3, 0, 0, 1, 0, 1, 1, 0),
		},
	} {
		hs.notify(tt.request)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if !gateway.log.wait(ctx, tt.want) {
			t.Errorf("the access log has no %s:\n%s", tt.want, gateway.log)
		}
	}
}

// told returns the placeholders' values as that test logs them: the inner log_append comes first.
func told(values ...int) string {
	names := []string{"devices", "delivered", "queued", "duplicate", "dropped", "rejected", "rejected_before", "unavailable"}
	fields := make([]string, len(names))
	for i, name := range names {
		fields[i] = fmt.Sprintf(`"told_%s":%d`, name, values[i])
	}
	slices.Reverse(fields)
	return strings.Join(fields, ",")
}
