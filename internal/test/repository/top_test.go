package repository_test

import (
	"os"
	"sync"
	"testing"
)

// atTop changes to the top folder, so a test reads files by their paths from there. Each test calls it, and not TestMain, which runs before Go
// notes the folder: Go would then use a cached result although a page has changed.
func atTop(t *testing.T) {
	t.Helper()
	if err := chdir(); err != nil {
		t.Fatal(err)
	}
}

var chdir = sync.OnceValue(func() error { return os.Chdir("../../..") })
