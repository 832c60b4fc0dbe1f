package command

import (
	"encoding/json"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// deviceFlags select a device by its app_id and pushkey.
type deviceFlags struct{ appID, pushkey, pushkeyFile string }

// selectorFlags also select a device by its hash or endpoint.
type selectorFlags struct {
	deviceFlags
	hash, endpoint, endpointFile, data string
}

func (s *selectorFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.hash, "hash", "", "The device's hash, or a unique prefix of it")
	s.deviceFlags.addTo(cmd)
	cmd.Flags().StringVar(&s.endpoint, "endpoint", "",
		"For webpush, the endpoint in the pusher's data (default: all known endpoints of the pushkey)")
	cmd.Flags().StringVar(&s.endpointFile, "endpoint-file", "", "A file that contains the endpoint")
	cmd.Flags().StringVar(&s.data, "data", "", "The pusher's data as JSON, instead of the endpoint; use - to read it from standard input")
}

const pushkeyHelp = `
A pushkey on the command line is visible to all users of the machine. To hide it,
use --pushkey - (which reads it from standard input) or --pushkey-file.`

// endpointHelp is for commands that also take an endpoint.
const endpointHelp = `
A device of a webpush app is identified by its app_id, its pushkey and the
endpoint in its data. Like a pushkey, an endpoint on the command line is visible
to all users of the machine. To hide it, use --endpoint-file.`

func (d *deviceFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.appID, "app-id", "", "The device's app_id")
	cmd.Flags().StringVar(&d.pushkey, "pushkey", "", "The device's pushkey; use - to read it from standard input")
	cmd.Flags().StringVar(&d.pushkeyFile, "pushkey-file", "", "A file that contains the device's pushkey")
}

func (d *deviceFlags) given() bool { return *d != deviceFlags{} }

// read returns the device's pushkey.
func (d *deviceFlags) read(in io.Reader) (pushkey string, err error) {
	switch {
	case d.appID == "":
		return "", misuse("--app-id is missing")
	case d.pushkey != "" && d.pushkeyFile != "":
		return "", misuse("--pushkey and --pushkey-file cannot be used together")
	case d.pushkey == "" && d.pushkeyFile == "":
		return "", misuse("--pushkey or --pushkey-file is missing: set one of them")
	case d.pushkey != "" && d.pushkey != "-":
		return d.pushkey, nil
	}
	var data []byte
	if d.pushkeyFile != "" {
		data, err = os.ReadFile(d.pushkeyFile)
	} else {
		data, err = io.ReadAll(in)
	}
	if err != nil {
		return "", err
	}
	if pushkey = strings.TrimRight(string(data), "\r\n"); pushkey == "" {
		return "", misuse("the pushkey is empty")
	}
	return pushkey, nil
}

// given reports whether any of the flags is set.
func (s *selectorFlags) given() bool { return *s != selectorFlags{} }

// selector returns what selects the device in the admin API: its hash, or its values.
func (s *selectorFlags) selector(in io.Reader) (map[string]any, error) {
	switch {
	case s.hash != "" && (s.deviceFlags.given() || s.endpoint != "" || s.endpointFile != "" || s.data != ""):
		return nil, misuse("--hash cannot be used together with --app-id, --pushkey, --endpoint or --data")
	case s.data != "" && (s.endpoint != "" || s.endpointFile != ""):
		return nil, misuse("--data contains the endpoint: leave out --endpoint and --endpoint-file")
	case s.data == "-" && s.pushkey == "-":
		return nil, misuse("only one of --pushkey and --data can be read from standard input: use --pushkey-file")
	case s.endpoint != "" && s.endpointFile != "":
		return nil, misuse("--endpoint and --endpoint-file cannot be used together")
	case s.hash != "":
		return map[string]any{"hash": s.hash}, nil
	case !s.given():
		return nil, misuse("the device is missing: set --hash, or --app-id and --pushkey")
	}
	pushkey, err := s.read(in)
	if err != nil {
		return nil, err
	}
	selector := map[string]any{"app_id": s.appID, "pushkey": pushkey}
	endpoint, err := s.readEndpoint()
	if err != nil {
		return nil, err
	}
	if endpoint != "" {
		selector["endpoint"] = endpoint
	}
	if s.data != "" {
		data, err := s.readData(in)
		if err != nil {
			return nil, err
		}
		selector["data"] = data
	}
	return selector, nil
}

// readEndpoint returns the endpoint; empty if no flag gives one.
func (s *selectorFlags) readEndpoint() (string, error) {
	if s.endpointFile == "" {
		return s.endpoint, nil
	}
	data, err := os.ReadFile(s.endpointFile)
	if err != nil {
		return "", err
	}
	endpoint := strings.TrimRight(string(data), "\r\n")
	if endpoint == "" {
		return "", misuse("the endpoint is empty")
	}
	return endpoint, nil
}

// readData returns the pusher's data.
func (s *selectorFlags) readData(in io.Reader) (json.RawMessage, error) {
	data := []byte(s.data)
	if s.data == "-" {
		var err error
		if data, err = io.ReadAll(in); err != nil {
			return nil, err
		}
	}
	if !json.Valid(data) {
		return nil, misuse("--data is not valid JSON")
	}
	return data, nil
}
