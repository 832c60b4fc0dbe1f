// Package corpus is what homeservers and clients post to a push gateway, byte for byte: a file for each request in homeservers, which its
// README.md says the source of. The end-to-end tests replay it, and the fuzz targets begin with it.
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

// Each request is for one device, as those of real homeservers are, with this app_id and this pushkey, which is a device token as
// Element X registers it.
const (
	AppID   = "org.example.app"
	Pushkey = "AMWu3sbDnDTLku5GRZotsZ0DQ3SYy1YYSmGsRu5t6DM="
)

//go:embed homeservers
var files embed.FS

// Request is the body of a notify request.
type Request struct {
	Server string // who sends it: the name of its folder
	What   string // which one it is: the name of its file
	Body   []byte
}

// Requests are all of them, in the order of their names.
func Requests() []Request {
	paths, err := fs.Glob(files, "homeservers/*/*.json")
	if err != nil || len(paths) == 0 {
		panic(fmt.Sprintf("corpus: no requests: %v", err)) // they are in the binary
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

// Device is the request's only device, with its members as they stand in it.
type Device struct {
	Data   json.RawMessage `json:"data"`
	Tweaks json.RawMessage `json:"tweaks"`
}

// Device is the request's only one.
func (r Request) Device() Device {
	var body struct {
		Notification struct{ Devices []Device }
	}
	if err := json.Unmarshal(r.Body, &body); err != nil || len(body.Notification.Devices) != 1 {
		panic(fmt.Sprintf("corpus: %s/%s has %d devices: %v", r.Server, r.What, len(body.Notification.Devices), err))
	}
	return body.Notification.Devices[0]
}

// For is the same request for another device. Not a byte is changed but those of its app_id and pushkey.
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

// encode is a member as all of them write it: compact.
func encode(member, value string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err) // a string can be encoded
	}
	return append([]byte(`"`+member+`":`), bytes.TrimSpace(b.Bytes())...)
}
