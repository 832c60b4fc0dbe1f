package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// adminDo makes a request to the admin API, and returns status and body.
func (p *process) adminDo(method, path, body string) (status int, answer string) {
	p.t.Helper()
	req, err := http.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := p.admin.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// fuses returns the states of the fuses by app, from the admin API.
func (p *process) fuses() map[string]fuseStatus {
	p.t.Helper()
	resp, err := p.admin.Get("http://127.0.0.1/matrix_push/fuses")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list []fuseStatus
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		p.t.Fatal(err)
	}
	fuses := make(map[string]fuseStatus)
	for _, f := range list {
		fuses[f.App] = f
	}
	return fuses
}

type fuseStatus struct {
	App            string     `json:"app"`
	Tripped        *time.Time `json:"tripped"`
	Dead, Pushkeys int
}

// resetFuse resets a fuse, as the operator does after fixing the cause.
func (p *process) resetFuse(app string) {
	p.t.Helper()
	if err := p.request(http.MethodPost, "/matrix_push/fuses/reset", "application/json", `{"app":"`+app+`"}`); err != nil {
		p.t.Fatal(err)
	}
}

// history returns an app's pushes of the last hour by outcome, from the admin API; nil if the app is not there.
func (p *process) history(app string) map[string]float64 {
	p.t.Helper()
	status, answer := p.adminDo(http.MethodGet, "/matrix_push/history", "")
	var h struct {
		Apps []struct {
			App      string
			Outcomes map[string][]float64
		}
	}
	if err := json.Unmarshal([]byte(answer), &h); err != nil || status != http.StatusOK {
		p.t.Fatalf("answered %d %s", status, answer)
	}
	for _, of := range h.Apps {
		if of.App != app {
			continue
		}
		sums := make(map[string]float64)
		for outcome, counts := range of.Outcomes {
			for _, n := range counts {
				sums[outcome] += n
			}
		}
		return sums
	}
	return nil
}
