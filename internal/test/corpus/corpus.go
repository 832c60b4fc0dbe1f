// Package corpus has the requests that homeservers and clients post to a push gateway, byte for byte. The folder homeservers has a file for each
// request, and its README.md names the sources. The end-to-end tests replay the requests, and the fuzz targets start with them.
package corpus

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Each request is for one device with this app_id and this pushkey, as real homeservers send it. The pushkey is a device token in the form that
// Element X registers.
const (
	AppID   = "org.example.app"
	Pushkey = "AMWu3sbDnDTLku5GRZotsZ0DQ3SYy1YYSmGsRu5t6DM="
)

//go:embed homeservers
var files embed.FS

// Request is the body of a notify request.
type Request struct {
	Server string // the sender: the name of the folder
	What   string // the kind: the name of the file
	Body   []byte
}

// Requests returns all requests, in the order of their names.
func Requests() []Request {
	paths, err := fs.Glob(files, "homeservers/*/*.json")
	if err != nil || len(paths) == 0 {
		panic(fmt.Sprintf("corpus: no requests: %v", err)) // cannot happen, because they are in the binary
	}
	requests := make([]Request, 0, len(paths))
	for _, name := range paths {
		body, err := files.ReadFile(name)
		if err != nil {
			panic(err)
		}
		requests = append(requests, Request{path.Base(path.Dir(name)), strings.TrimSuffix(path.Base(name), ".json"), body})
	}
	return requests
}

// Device is the request's only device, with its members as they are in the request.
type Device struct {
	Data   json.RawMessage `json:"data"`
	Tweaks json.RawMessage `json:"tweaks"`
}

// Device returns the request's only device.
func (r Request) Device() Device {
	var body struct {
		Notification struct{ Devices []Device }
	}
	if err := json.Unmarshal(r.Body, &body); err != nil || len(body.Notification.Devices) != 1 {
		panic(fmt.Sprintf("corpus: %s/%s has %d devices: %v", r.Server, r.What, len(body.Notification.Devices), err))
	}
	return body.Notification.Devices[0]
}

// For returns the same request for another device. It changes only the bytes of the app_id and the pushkey.
func (r Request) For(appID, pushkey string) []byte {
	body := replace(r, r.Body, "app_id", AppID, appID)
	return replace(r, body, "pushkey", Pushkey, pushkey)
}

func replace(r Request, body []byte, member, before, after string) []byte {
	was, is := encode(member, before), encode(member, after)
	if n := bytes.Count(body, was); n != 1 {
		panic(fmt.Sprintf("corpus: %s/%s has %d devices with the %s of all", r.Server, r.What, n, member))
	}
	return bytes.Replace(body, was, is, 1)
}

// encode returns a member in the compact form that all senders use.
func encode(member, value string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err) // cannot happen for a string
	}
	return append([]byte(`"`+member+`":`), bytes.TrimSpace(b.Bytes())...)
}
