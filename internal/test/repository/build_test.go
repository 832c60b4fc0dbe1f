package repository_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// smallerBuild matches the command of a section of docs/get-started.md.
var smallerBuild = regexp.MustCompile("(?s)\n### A smaller build\n.*?```sh\n(.*?)```")

// Go takes 404 from a module proxy for "there is no such module", and stops at every other refusal. So a build of this checkout must ask the
// proxy nothing about a module that is not published.
func TestTheSmallerBuildWorksWithAModuleProxyThatRefusesToAnswer(t *testing.T) {
	t.Parallel()
	atTop(t)
	found := smallerBuild.FindStringSubmatch(read(t, "docs/get-started.md"))
	if found == nil {
		t.Fatal("docs/get-started.md has no smaller build")
	}
	for _, status := range []int{http.StatusForbidden, http.StatusInternalServerError} {
		var asked atomic.Int64
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(status)
		}))
		t.Cleanup(proxy.Close)
		// With -n, Go finds all that it would compile, and compiles nothing. CI runs the command as it is written.
		build := exec.CommandContext(t.Context(), "bash", "-euc", strings.Replace(found[1], "go build ", "go build -n ", 1))
		build.Env = append(os.Environ(), "GOPROXY="+proxy.URL, "GOSUMDB=off")
		if output, err := build.CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(output)), "\n")
			t.Errorf("where the proxy answers %d: %v: %s", status, err, strings.Join(lines[max(0, len(lines)-5):], "\n"))
		}
		if n := asked.Load(); n > 0 {
			t.Errorf("where the proxy answers %d, it was asked %d times", status, n)
		}
	}
}
