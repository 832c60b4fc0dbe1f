package browsertest

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Axe returns what axe-core (https://github.com/dequelabs/axe-core) finds wrong with the page's accessibility, one violation a line.
func (p *Page) Axe() (violations []string) {
	p.b.t.Helper()
	file := os.Getenv("AXE_CORE")
	if file == "" {
		lacks(p.b.t, errors.New("there is no axe-core: install it with npm, and set AXE_CORE to the path of its axe.min.js"))
	}
	source, err := os.ReadFile(file)
	if err != nil {
		p.b.t.Fatal(err)
	}
	p.Evaluate(`(() => {`+string(source)+"\n})()", nil)
	var found []struct {
		ID, Impact, Help string
		Nodes            []struct{ Target []any }
	}
	p.Evaluate(`axe.run({resultTypes: ["violations"]}).then(r => r.violations)`, &found)
	for _, v := range found {
		var targets []string
		for _, node := range v.Nodes {
			targets = append(targets, fmt.Sprint(node.Target...))
		}
		violations = append(violations, fmt.Sprintf("%s (%s): %s: %s", v.ID, v.Impact, v.Help, strings.Join(targets, ", ")))
	}
	return violations
}
