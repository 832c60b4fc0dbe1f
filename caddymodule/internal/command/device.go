package command

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// deviceFlags name a device by its values.
type deviceFlags struct{ appID, pushkey, pushkeyFile string }

// selectorFlags name a device by its hash, too.
type selectorFlags struct {
	deviceFlags
	hash, endpoint, endpointFile string
}

func (s *selectorFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.hash, "hash", "", "The device's hash, or the beginning of it")
	s.deviceFlags.addTo(cmd)
	cmd.Flags().StringVar(&s.endpoint, "endpoint", "", "For webpush, the endpoint in the pusher's data; without it, all that are known of the pushkey")
	cmd.Flags().StringVar(&s.endpointFile, "endpoint-file", "", "A file with the endpoint")
}

const pushkeyHelp = `
A pushkey on the command line can be seen by all users of the machine: give
--pushkey - to read it from the standard input, or --pushkey-file.`

// endpointHelp is for commands that take an endpoint, too.
const endpointHelp = `
A device of a webpush app is its app_id, its pushkey and the endpoint in its
data. --endpoint can be seen by all users, too: give --endpoint-file.`

func (d *deviceFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.appID, "app-id", "", "The device's app_id")
	cmd.Flags().StringVar(&d.pushkey, "pushkey", "", "The device's pushkey; - reads it from the standard input")
	cmd.Flags().StringVar(&d.pushkeyFile, "pushkey-file", "", "A file with the device's pushkey")
}

func (d *deviceFlags) given() bool { return *d != deviceFlags{} }

// read is the device's pushkey.
func (d *deviceFlags) read(in io.Reader) (pushkey string, err error) {
	switch {
	case d.appID == "":
		return "", misuse("--app-id is missing")
	case d.pushkey != "" && d.pushkeyFile != "":
		return "", misuse("--pushkey and --pushkey-file cannot be given together")
	case d.pushkey == "" && d.pushkeyFile == "":
		return "", misuse("--pushkey or --pushkey-file is missing")
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

// given says whether a device is named at all.
func (s *selectorFlags) given() bool { return *s != selectorFlags{} }

// selector names the device to the admin API: by its hash, or by its values.
func (s *selectorFlags) selector(in io.Reader) (map[string]string, error) {
	switch {
	case s.hash != "" && (s.deviceFlags.given() || s.endpoint != "" || s.endpointFile != ""):
		return nil, misuse("--hash cannot be given together with --app-id, --pushkey and --endpoint")
	case s.endpoint != "" && s.endpointFile != "":
		return nil, misuse("--endpoint and --endpoint-file cannot be given together")
	case s.hash != "":
		return map[string]string{"hash": s.hash}, nil
	case !s.given():
		return nil, misuse("the device is missing: give --hash, or --app-id and --pushkey")
	}
	pushkey, err := s.read(in)
	if err != nil {
		return nil, err
	}
	selector := map[string]string{"app_id": s.appID, "pushkey": pushkey}
	if selector["endpoint"], err = s.readEndpoint(); err != nil {
		return nil, err
	}
	if selector["endpoint"] == "" {
		delete(selector, "endpoint")
	}
	return selector, nil
}

// readEndpoint is the endpoint; empty if none is given.
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
