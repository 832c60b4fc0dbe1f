package repository_test

import (
	"os"
	"sync"
	"testing"
)

// atTop has a test read files by their paths from the top. It is called by each test and not by TestMain, which runs too early for Go to
// note the folder: a result would then be taken from the cache although a page has changed.
func atTop(t *testing.T) {
	t.Helper()
	if err := chdir(); err != nil {
		t.Fatal(err)
	}
}

var chdir = sync.OnceValue(func() error { return os.Chdir("../../..") })
