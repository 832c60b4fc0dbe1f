package readonce

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// known is a device that is remembered.
type known = device[string]

// reader counts how often a device is read.
type reader struct{ times int }

func (r *reader) read(d *providers.Device) (string, error) {
	r.times++
	if d.Pushkey == "unusable" {
		return "", errors.New("unusable")
	}
	return d.Pushkey + string(d.Data), nil
}

func newDevices(t *testing.T) *Devices[string] {
	t.Helper()
	c, err := New[string]()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func deviceOf(pushkey, data string) *providers.Device {
	return &providers.Device{Pushkey: pushkey, Data: []byte(data)}
}

// wantReads fails the test unless the device is read as often as wanted when it is got three times.
func wantReads(t *testing.T, c *Devices[string], d *providers.Device, want int) {
	t.Helper()
	var r reader
	for range 3 {
		value, err := c.Get(d, r.read)
		if wanted, fails := r.read(d); value != wanted || (err == nil) != (fails == nil) {
			t.Fatalf("got %q (%v), want %q", value, err, wanted)
		}
		r.times--
	}
	if r.times != want {
		t.Errorf("the device is read %d times, want %d", r.times, want)
	}
}

func TestADeviceIsReadOnce(t *testing.T) {
	t.Parallel()
	c := newDevices(t)
	wantReads(t, c, deviceOf("a", "bc"), 1)
	wantReads(t, c, deviceOf("a", "bc"), 0)
	wantReads(t, c, deviceOf("a", "bd"), 1)
	wantReads(t, c, deviceOf("ab", "c"), 1)
	wantReads(t, c, deviceOf("a", ""), 1)
	wantReads(t, c, deviceOf("unusable", ""), 3)
	wantReads(t, nil, deviceOf("a", "bc"), 3)
}

func TestPeekReadsNothing(t *testing.T) {
	t.Parallel()
	c, small, large := newDevices(t), deviceOf("a", "bc"), deviceOf("a", strings.Repeat("x", maxSize))
	for _, d := range []*providers.Device{small, large, deviceOf("unusable", "")} {
		if value, ok := c.Peek(d); ok || value != "" {
			t.Errorf("got %q before the device was read", value)
		}
		_, _ = c.Get(d, new(reader).read)
		if value, ok := c.Peek(d); ok != (d == small) || ok && value != "abc" {
			t.Errorf("got %q (%t) after the device was read", value, ok)
		}
	}
	if _, ok := (*Devices[string])(nil).Peek(small); ok {
		t.Error("without a memory, there is a device")
	}
	c.last.Add(c.key(small), &known{"x", small.Data, "another's"})
	if value, ok := c.Peek(small); ok {
		t.Errorf("got %q", value)
	}
}

func TestAnotherDeviceWithTheSameHashIsAnother(t *testing.T) {
	t.Parallel()
	c, d := newDevices(t), deviceOf("a", "b")
	for _, other := range []*providers.Device{deviceOf("x", "b"), deviceOf("a", "x")} {
		c.last.Add(c.key(d), &known{other.Pushkey, other.Data, "another's"})
		wantReads(t, c, d, 1)
	}
}

func TestWhatIsRememberedIsNotThePartOfARequest(t *testing.T) {
	t.Parallel()
	c, body := newDevices(t), []byte(`{"a":1}`)
	d := &providers.Device{Pushkey: "a", Data: body}
	wantReads(t, c, d, 1)
	copy(body, `{"b":2}`) // the buffer has another request
	wantReads(t, c, deviceOf("a", `{"a":1}`), 0)
	wantReads(t, c, d, 1)
}

// A stranger can send any number of devices, and large ones.
func TestStrangersDevicesCostAConstantAndTheOthersOneRead(t *testing.T) {
	t.Parallel()
	c, mine := newDevices(t), deviceOf("mine", "{}")
	wantReads(t, c, mine, 1)
	for i := range 3 * maxDevices {
		wantReads(t, c, deviceOf("stranger", fmt.Sprint(i)), 1)
		wantReads(t, c, deviceOf(fmt.Sprint(i), strings.Repeat("x", maxSize)), 3) // too large
	}
	if n := c.last.Len(); n != maxDevices {
		t.Errorf("%d devices are remembered, want %d", n, maxDevices)
	}
	wantReads(t, c, mine, 1)
	for i := range 3 * maxDevices {
		wantReads(t, c, deviceOf("another stranger", fmt.Sprint(i)), 1)
		wantReads(t, c, mine, 0) // since it is used again and again
	}
}
