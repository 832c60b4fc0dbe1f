package telemetry

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboardFile = "../../../examples/grafana/matrix-push.json"

// dashboard is the part of Grafana's dashboard JSON model that is checked.
type dashboard struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	ID            *int    `json:"id"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []struct {
			Name       string      `json:"name"`
			Type       string      `json:"type"`
			Definition string      `json:"definition"`
			Datasource *datasource `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int         `json:"id"`
	Type        string      `json:"type"`
	Title       string      `json:"title"`
	Description string      `json:"description"`
	Datasource  *datasource `json:"datasource"`
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID        string      `json:"refId"`
		Expr         string      `json:"expr"`
		LegendFormat string      `json:"legendFormat"`
		Datasource   *datasource `json:"datasource"`
	} `json:"targets"`
}

// chosen is the data source that the dashboard's user chooses.
var chosen = datasource{"prometheus", "${datasource}"}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// substituted returns an expression with values for Grafana's variables.
func substituted(expr string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$app", ".*").Replace(expr)
}

func TestTheDashboardIsOneThatGrafanaImports(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	if d.ID != nil || d.UID == "" || d.Title == "" || d.SchemaVersion < 39 {
		t.Errorf("id %v, uid %q, title %q, schema %d: it cannot be imported into Grafana 11", d.ID, d.UID, d.Title, d.SchemaVersion)
	}
	ids := make(map[int]string)
	for _, p := range d.Panels {
		if other, ok := ids[p.ID]; ok || p.ID == 0 {
			t.Errorf("the panels %q and %q have the id %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		if g := p.GridPos; g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("the panel %q does not fit into the grid: %+v", p.Title, g)
		}
		for _, o := range d.Panels {
			if o.ID != p.ID && overlap(p, o) {
				t.Errorf("the panels %q and %q overlap", p.Title, o.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource == nil || *p.Datasource != chosen {
			t.Errorf("the panel %q lacks a title, a description, a unit, a query or the data source that is chosen", p.Title)
		}
	}
}

func overlap(a, b panel) bool {
	p, q := a.GridPos, b.GridPos
	return p.X < q.X+q.W && q.X < p.X+p.W && p.Y < q.Y+q.H && q.Y < p.Y+p.H
}

func TestTheDashboardsVariablesAreThoseThatItUses(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range readDashboard(t).Templating.List {
		names = append(names, v.Name)
		if !bytes.Contains(text, []byte("$"+v.Name)) && !bytes.Contains(text, []byte("${"+v.Name+"}")) {
			t.Errorf("nothing uses the variable %s", v.Name)
		}
		if v.Type == "datasource" {
			continue
		}
		if v.Datasource == nil || *v.Datasource != chosen {
			t.Errorf("the variable %s is not of the data source that is chosen", v.Name)
		}
		// label_values(<selector>, <label>)
		selector, label, found := cutLast(strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ")"), ", ")
		q, wrong := ask(substituted(selector), exported(t))
		if len(wrong) > 0 || !found || !slices.Contains(q.labels, label) {
			t.Errorf("the variable %s has the query %s: %v", v.Name, v.Definition, wrong)
		}
	}
	slices.Sort(names)
	if want := []string{"app", "datasource", "instance"}; !slices.Equal(names, want) {
		t.Errorf("the variables are %q, want %q", names, want)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// legends matches the labels in a legend's format.
var legends = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

func TestTheDashboardAsksForWhatIsExported(t *testing.T) {
	t.Parallel()
	metrics := exported(t)
	var used []string
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			expr := substituted(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: %s: a variable is unknown", p.Title, target.Expr)
			}
			q, wrong := ask(expr, metrics)
			for _, w := range wrong {
				t.Errorf("%s: %s: %s", p.Title, target.Expr, w)
			}
			for _, m := range legends.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(q.kept, m[1]) {
					t.Errorf("%s: the legend shows %s, which the query does not keep", p.Title, m[1])
				}
			}
			for _, series := range selectors.FindAllStringSubmatch(expr, -1) {
				for _, variable := range []string{"instance", "app"} {
					if _, labels := find(series[1], metrics); slices.Contains(labels, variable) && !strings.Contains(series[2], variable+`=~".*"`) {
						t.Errorf("%s: %s leaves $%s out of account", p.Title, target.Expr, variable)
					}
				}
			}
			used = append(used, q.metrics...)
		}
	}
	if missing := unused(metrics, used); len(missing) > 0 {
		t.Errorf("no panel shows %q", missing)
	}
}
