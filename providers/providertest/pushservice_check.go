package providertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
)

var (
	topicAlphabet = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)                              // RFC 8030 section 5.4
	urgencies     = []string{"very-low", "low", "normal", "high"}                            // RFC 8030 section 5.3
	digits        = regexp.MustCompile(`^[0-9]{1,10}$`)                                      // RFC 8030 section 5.2
	single        = []string{"Ttl", "Urgency", "Topic", "Authorization", "Content-Encoding"} // headers that may occur only once
)

// check reads a push, and returns it with the status of the refusal; 0 if it breaks no rule.
func (s *PushService) check(r *http.Request, body []byte, sub *Subscription) (Message, int) {
	m := Message{Time: s.options.Now(), Path: r.URL.Path, Header: r.Header.Clone(), TTL: -1, Size: len(body)}
	refusal := 0
	refuse := func(status int, format string, args ...any) {
		m.Violations = append(m.Violations, fmt.Sprintf(format, args...))
		if refusal == 0 {
			refusal = status
		}
	}

	if r.Method != http.MethodPost {
		refuse(http.StatusMethodNotAllowed, "the method is %s, not POST", r.Method)
	}
	if len(body) > maxBody {
		refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", maxBody)
	}
	for _, violation := range m.readHeader() {
		refuse(http.StatusBadRequest, "%s", violation)
	}
	if status, violation := s.checkVAPID(r, sub, &m); violation != "" {
		refuse(status, "%s", violation)
	}
	read := m.readPlain
	if sub != nil {
		read = func(body []byte) string { return m.readEncrypted(body, sub) }
	}
	if violation := read(body); violation != "" {
		refuse(http.StatusBadRequest, "%s", violation)
	}
	return m, refusal
}

// readHeader reads the headers of RFC 8030 section 5.
func (m *Message) readHeader() (violations []string) {
	for _, name := range single {
		if len(m.Header[name]) > 1 {
			violations = append(violations, "there is more than one "+name)
		}
	}
	if ttl := m.Header.Get("TTL"); digits.MatchString(ttl) {
		m.TTL, _ = strconv.Atoi(ttl)
	} else {
		violations = append(violations, "TTL is missing or not a number of seconds")
	}
	m.Urgency = m.Header.Get("Urgency")
	if _, ok := m.Header["Urgency"]; ok && !slices.Contains(urgencies, m.Urgency) {
		violations = append(violations, "Urgency is not one of very-low, low, normal, high")
	}
	m.Topic = m.Header.Get("Topic")
	if _, ok := m.Header["Topic"]; ok && !topicAlphabet.MatchString(m.Topic) {
		violations = append(violations, "Topic is not 1 to 32 characters of base64url")
	}
	return violations
}

// readEncrypted decrypts a Web Push message, RFC 8291 section 4.
func (m *Message) readEncrypted(body []byte, sub *Subscription) (violation string) {
	if encoding := m.Header.Get("Content-Encoding"); encoding != "aes128gcm" {
		return "Content-Encoding is not aes128gcm"
	}
	plaintext, err := sub.Decrypt(body)
	if err != nil {
		return "the message cannot be read: " + err.Error()
	}
	m.Encrypted, m.Body = true, plaintext
	return ""
}

// readPlain reads what a Matrix gateway for UnifiedPush sends, https://unifiedpush.org/developers/gateway/: the notification without
// its devices, or with only the device that the message is for. Gateways also claim aes128gcm there, because services expect it.
func (m *Message) readPlain(body []byte) (violation string) {
	if encoding := m.Header.Get("Content-Encoding"); encoding != "" && encoding != "aes128gcm" {
		return "Content-Encoding is neither aes128gcm nor absent"
	}
	m.Body = body
	var push struct {
		Notification map[string]json.RawMessage `json:"notification"`
		Devices      json.RawMessage            `json:"devices"`
	}
	if err := json.Unmarshal(body, &push); err != nil || push.Notification == nil {
		return `the body is not JSON with an object "notification"`
	}
	if push.Devices != nil {
		return `the body has "devices" beside the notification`
	}
	if devices, ok := push.Notification["devices"]; ok {
		return readDevices(devices)
	}
	return ""
}

// readDevices checks that the list contains only the device that the message is for, without its pushkey and keys, which the push
// service must not learn.
func readDevices(list json.RawMessage) (violation string) {
	var devices []struct {
		AppID   string                     `json:"app_id"`
		Pushkey json.RawMessage            `json:"pushkey"`
		Data    map[string]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(list, &devices); err != nil || len(devices) != 1 || devices[0].AppID == "" {
		return `the notification's "devices" are not a list of one device`
	}
	if devices[0].Pushkey != nil {
		return `the notification's "devices" have a pushkey`
	}
	for _, name := range []string{"p256dh", "auth", "keys"} {
		if _, ok := devices[0].Data[name]; ok {
			return `the notification's "devices" have "` + name + `" in data`
		}
	}
	return ""
}
