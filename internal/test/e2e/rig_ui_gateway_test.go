package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"text/template"
	"time"
)

// serveAdmin serves in place of an admin API, and returns its address.
func serveAdmin(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// troubled returns the address of an admin API that answers with testdata/ui/troubled.json: a gateway in any kind of trouble, with XMPP
// components, and a number of other apps. A real gateway does not get into all of that at once.
func troubled(t *testing.T, more int) (address string) {
	t.Helper()
	now := time.Now()
	numbers := make([]int, more)
	for i := range numbers {
		numbers[i] = i + 1
	}
	functions := template.FuncMap{
		"ago": func(d string) (string, error) { return shifted(now, "-"+d) },
		"in":  func(d string) (string, error) { return shifted(now, d) },
		// wave returns 60 numbers around a number, or with a gap a number in every so many minutes. The last minute has only begun.
		"wave": func(around, gap int) string {
			counts := make([]string, 60)
			for i := range counts {
				n := around + around*(i*i*31%17-8)/90 + around*(i%30)/150
				if gap > 0 && i%gap != 0 {
					n = 0
				}
				if i == 59 {
					n /= 3
				}
				counts[i] = fmt.Sprint(n)
			}
			return "[" + strings.Join(counts, ",") + "]"
		},
	}
	file := template.Must(template.New("troubled.json").Funcs(functions).ParseFiles("testdata/ui/troubled.json"))
	var text bytes.Buffer
	if err := file.Execute(&text, numbers); err != nil {
		t.Fatal(err)
	}
	var answers map[string]json.RawMessage
	if err := json.Unmarshal(text.Bytes(), &answers); err != nil {
		t.Fatalf("%v:\n%s", err, &text)
	}
	return serveAdmin(t, func(w http.ResponseWriter, r *http.Request) {
		route := strings.TrimPrefix(r.URL.Path, "/matrix_push/")
		if route == "outbox" && r.URL.Query().Has("app") {
			route = "outbox of an app"
		}
		answer, ok := answers[route]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(answer)
	})
}

// shifted returns a time as JSON writes it.
func shifted(now time.Time, by string) (string, error) {
	d, err := time.ParseDuration(by)
	return now.Add(d).Format(time.RFC3339), err
}
