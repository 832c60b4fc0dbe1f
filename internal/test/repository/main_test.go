package repository_test

import (
	"fmt"
	"os"
	"testing"
)

// The tests read files by their paths from the top.
func TestMain(m *testing.M) {
	if err := os.Chdir("../../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
