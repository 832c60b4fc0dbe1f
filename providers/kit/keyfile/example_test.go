package keyfile_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/matrix-push/caddy-matrix-push/providers/kit/keyfile"
)

// A token in a file that somebody replaces while the gateway runs.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "token")
	if err := os.WriteFile(path, []byte("first\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	now := time.Now() // a provider omits Now, which then is the real clock
	file, err := keyfile.Open(keyfile.Options[string]{
		Paths: []string{path}, Parse: keyfile.Line, Now: func() time.Time { return now },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(file.Get())

	if err := os.WriteFile(path, []byte("the second\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	now = now.Add(10 * time.Second)
	fmt.Println(file.Get(), "stays: the new one has two words")

	if err := os.WriteFile(path, []byte("third\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	now = now.Add(10 * time.Second)
	fmt.Println(file.Get())
	// Output:
	// first
	// first stays: the new one has two words
	// third
}

// A provider opens the token that its option token_file names.
func ExampleOpenLine() {
	_, err := keyfile.OpenLine("token_file", "", nil) // in Provision, the logger is ctx.Logger()
	fmt.Println(err)
	// Output: token_file is missing
}
