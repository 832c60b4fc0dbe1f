package apnstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// countForm is a JSON number that may be a badge.
var countForm = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

// checkSize checks a payload's length: at most 4 KB, and 5 KB for VoIP.
// https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification
func (s *stream) checkSize() fault {
	limit := 4096
	if s.request.PushType == "voip" {
		limit = 5120
	}
	switch n := len(s.request.Payload); {
	case n == 0:
		return faultf("PayloadEmpty", "there is no payload")
	case n > limit:
		return faultf("PayloadTooLarge", "the payload has more than %d bytes", limit)
	}
	return fault{}
}

// checkPayload checks the payload's keys and values, by
// https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification.
// Apple checks less, and the device drops what it cannot use, so no server would notice a mistake.
func (s *stream) checkPayload() fault {
	if len(s.request.Payload) == 0 || len(s.request.Payload) > 5120 {
		return fault{} // checkSize reports it
	}
	if violation := payloadViolation(s.request.Payload, s.request.PushType); violation != "" {
		return fault{badPayload, violation}
	}
	return fault{}
}

func payloadViolation(payload []byte, pushType string) string {
	if !utf8.Valid(payload) {
		return "the payload is not UTF-8"
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return "the payload is not a JSON object"
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "there is something after the payload's JSON object"
	}
	value, there := object["aps"]
	if !there && (pushType == "mdm" || pushType == "fileprovider" || pushType == "complication") {
		return "" // these have other keys
	}
	aps, ok := value.(map[string]any)
	if !ok {
		return "aps is not an object"
	}
	if violation := keysViolation(aps); violation != "" {
		return violation
	}
	return typeViolation(aps, pushType)
}

// typeViolation checks whether aps fits the push type.
func typeViolation(aps map[string]any, pushType string) string {
	has := func(keys ...string) (found string) {
		for _, key := range keys {
			if _, ok := aps[key]; ok {
				return key
			}
		}
		return ""
	}
	switch pushType {
	case "alert":
		if has("alert", "badge", "sound", "content-available") == "" {
			return "aps of an alert push has none of alert, badge, sound, content-available"
		}
	case "background":
		// https://developer.apple.com/documentation/usernotifications/pushing-background-updates-to-your-app
		if aps["content-available"] != json.Number("1") {
			return "aps of a background push has no content-available of 1"
		}
		if key := has("alert", "badge", "sound"); key != "" {
			return "aps of a background push has " + key
		}
	case "widgets", "controls":
		// https://developer.apple.com/documentation/widgetkit/updating-widgets-with-widgetkit-push-notifications
		if aps["content-changed"] != true {
			return "aps of a push for " + pushType + " has no content-changed of true"
		}
	case "liveactivity":
		return activityViolation(aps)
	}
	return ""
}

// activityViolation checks whether ActivityKit would accept aps as an update.
// https://developer.apple.com/documentation/activitykit/starting-and-updating-live-activities-with-activitykit-push-notifications
func activityViolation(aps map[string]any) string {
	if number, ok := aps["timestamp"].(json.Number); !ok || !countForm.MatchString(number.String()) {
		return "aps of a push for a Live Activity has no timestamp in seconds"
	}
	switch aps["event"] {
	case "start", "update", "end":
	default:
		return "aps of a push for a Live Activity has no event that is start, update or end"
	}
	if _, ok := aps["content-state"].(map[string]any); !ok && aps["event"] != "end" {
		return "aps of a push for a Live Activity has no object content-state"
	}
	return ""
}

// keysViolation checks the keys of aps that have a type.
func keysViolation(aps map[string]any) string {
	for key, value := range aps {
		ok := true
		switch key {
		case "alert":
			if violation := alertViolation(value); violation != "" {
				return violation
			}
		case "badge":
			number, isNumber := value.(json.Number)
			ok = isNumber && countForm.MatchString(number.String())
		case "content-available", "mutable-content":
			ok = value == json.Number("1") || value == json.Number("0")
		case "sound":
			_, isObject := value.(map[string]any)
			_, isString := value.(string)
			ok = isObject || isString
		case "thread-id", "category", "target-content-id", "filter-criteria", "interruption-level":
			_, ok = value.(string)
		}
		if !ok {
			return "aps." + key + " has the wrong type"
		}
	}
	return ""
}

// alertViolation checks the alert: a string, or an object of strings and of lists of arguments.
func alertViolation(alert any) string {
	if _, ok := alert.(string); ok {
		return ""
	}
	object, ok := alert.(map[string]any)
	if !ok {
		return "aps.alert is neither a string nor an object"
	}
	for key, value := range object {
		switch {
		case strings.HasSuffix(key, "loc-args"):
			arguments, ok := value.([]any)
			if !ok {
				return "aps.alert." + key + " is not a list"
			}
			for _, argument := range arguments {
				if _, ok := argument.(string); !ok {
					return "aps.alert." + key + " is not a list of strings"
				}
			}
		case key == "summary-arg-count":
			if _, ok := value.(json.Number); !ok {
				return "aps.alert.summary-arg-count is not a number"
			}
		default:
			if _, ok := value.(string); !ok {
				return "aps.alert." + key + " is not a string"
			}
		}
	}
	return ""
}
