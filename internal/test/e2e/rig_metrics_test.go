package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// samples has the values of a scrape by series, such as `caddy_matrix_push_fuse_tripped{app="a"}`. A histogram has only its count.
type samples map[string]float64

// heap returns the size of the process's objects in bytes, after a garbage collection, and the number of series of its metrics.
func (p *process) heap() (size float64, series int) {
	p.t.Helper()
	if status, answer := p.adminDo(http.MethodGet, "/debug/pprof/heap?gc=1", ""); status != http.StatusOK {
		p.t.Fatalf("answered %d %.200s", status, answer)
	}
	_, metrics := p.adminDo(http.MethodGet, "/metrics", "")
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series++
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "go_memstats_heap_alloc_bytes "); ok {
			var err error
			if size, err = strconv.ParseFloat(text, 64); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if size == 0 {
		p.t.Fatal("there is no go_memstats_heap_alloc_bytes")
	}
	return size, series
}

// scrape reads the metrics of the admin API. Those that can only grow are counters.
func (p *process) scrape() (all, counters samples) {
	p.t.Helper()
	resp, err := p.admin.Get("http://127.0.0.1/metrics")
	if err != nil {
		return nil, nil // a reload replaces the admin API's listener, too
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Errorf("scraping: %s, %v", resp.Status, err)
		return nil, nil
	}
	all, counters = make(samples), make(samples)
	for name, family := range families {
		if !strings.HasPrefix(name, "caddy_matrix_push_") {
			continue
		}
		for _, m := range family.GetMetric() {
			series := name + labels(m)
			switch {
			case m.Counter != nil:
				all[series] = m.Counter.GetValue()
				counters[series] = all[series]
			case m.Histogram != nil:
				all[series] = float64(m.Histogram.GetSampleCount())
				counters[series] = all[series]
			default:
				all[series] = m.Gauge.GetValue()
			}
		}
	}
	return all, counters
}

func labels(m *dto.Metric) string {
	var list []string
	for _, l := range m.GetLabel() {
		list = append(list, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	slices.Sort(list)
	return "{" + strings.Join(list, ",") + "}"
}

// total adds up the series with this beginning that contain each of the parts.
func (s samples) total(metric string, parts ...string) (sum float64) {
	for series, value := range s {
		if !strings.HasPrefix(series, "caddy_matrix_push_"+metric+"{") {
			continue
		}
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(series, part) }) {
			sum += value
		}
	}
	return sum
}

// footprint is the resources that a process holds.
type footprint struct{ goroutines, descriptors int }

func (p *process) footprint() footprint {
	p.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		p.t.Skip("descriptors are counted on Linux only")
	}
	resp, err := p.admin.Get("http://127.0.0.1/debug/pprof/goroutine?debug=1")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscanf(line, "goroutine profile: total %d", &n); err != nil {
		p.t.Fatal(err)
	}
	return footprint{goroutines: n, descriptors: len(entries)}
}

// returnsTo waits until the process holds no more resources than before, except those that come and go, such as an idle connection or a
// timer.
func (p *process) returnsTo(before footprint) {
	p.t.Helper()
	const slack = 20
	var now footprint
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		now = p.footprint()
		if now.goroutines <= before.goroutines+slack && now.descriptors <= before.descriptors+slack {
			p.t.Logf("before %+v, after %+v", before, now)
			return
		}
	}
	p.t.Errorf("the process grew from %+v to %+v", before, now)
}

// wantBelow wants a figure to be below a bound.
func wantBelow[N int | time.Duration](t *testing.T, what string, got, bound N) {
	t.Helper()
	t.Logf("%s: %v", what, got)
	if got >= bound {
		t.Errorf("%s: %v, want less than %v", what, got, bound)
	}
}
