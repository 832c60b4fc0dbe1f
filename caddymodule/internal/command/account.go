package command

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/matrix-push/caddy-matrix-push/internal/homeserver"
)

// accountFlags name a homeserver and the access token of a user.
type accountFlags struct{ address, token, tokenFile string }

func (a *accountFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.address, "homeserver", "", "The URL of the user's homeserver, such as https://matrix.example.org")
	cmd.Flags().StringVar(&a.token, "token", "", "Use - to read the user's access token from standard input")
	cmd.Flags().StringVar(&a.tokenFile, "token-file", "", "A file that contains the user's access token; use - for standard input")
}

func (a *accountFlags) tokenGiven() bool { return a.token != "" || a.tokenFile != "" }

// client returns a client with the user's access token. The token is never part of an error.
func (a *accountFlags) client(in io.Reader) (*homeserver.Client, error) {
	switch {
	case a.token != "" && a.token != "-":
		return nil, misuse("--token: a token on the command line is visible to all users of the machine: write --token - or --token-file")
	case a.token != "" && a.tokenFile != "":
		return nil, misuse("--token and --token-file cannot be used together")
	case !a.tokenGiven():
		return nil, misuse("the access token is missing: set --token-file, or --token - to read it from standard input")
	}
	file := a.tokenFile
	if a.token == "-" {
		file = "-"
	}
	token, err := readInput("--token-file", file, in, maxToken)
	if err != nil {
		return nil, err
	}
	c, err := homeserver.New(a.address, string(token))
	if err != nil {
		return nil, fmt.Errorf("--homeserver: %w", err)
	}
	return c, nil
}

const (
	maxToken = 64 << 10
	maxRules = 16 << 20
	// maxEvent is far above the 64 KiB that an event may have.
	maxEvent = 1 << 20
)

// readInput returns the content of a flag's file, or with - of standard input.
func readInput(flag, file string, in io.Reader, limit int64) ([]byte, error) {
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		defer opened.Close()
		in = opened
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	case int64(len(data)) > limit:
		return nil, fmt.Errorf("%s: the input has more than %d KiB", flag, limit>>10)
	}
	return data, nil
}
