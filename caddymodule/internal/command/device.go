package command

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// deviceFlags name a device by its values.
type deviceFlags struct{ appID, pushkey, pushkeyFile string }

const pushkeyHelp = `
A pushkey on the command line can be seen by all users of the machine: give
--pushkey - to read it from the standard input, or --pushkey-file.`

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

// selector names a device to the admin API: by the argument, which is a hash, or by its values.
func (i *invocation) selector(d *deviceFlags) (map[string]string, error) {
	switch {
	case len(i.args) > 0 && d.given():
		return nil, misuse("a hash and a device's values cannot be given together")
	case len(i.args) > 0:
		return map[string]string{"hash": i.args[0]}, nil
	case !d.given():
		return nil, misuse("the device is missing: give its hash, or --app-id and --pushkey")
	}
	pushkey, err := d.read(i.in)
	if err != nil {
		return nil, err
	}
	return map[string]string{"app_id": d.appID, "pushkey": pushkey}, nil
}
