package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// logFile collects the warnings that are logged while a configuration is checked; they are shown in the report.
type logFile struct{ name string }

func newLogFile() (*logFile, error) {
	f, err := os.CreateTemp("", "matrix-push-check-*.log")
	if err != nil {
		return nil, err
	}
	return &logFile{f.Name()}, f.Close()
}

func (l *logFile) logging() *caddy.Logging {
	name, _ := json.Marshal(l.name)
	return logging(`{"output":"file","roll":false,"filename":` + string(name) + `}`)
}

func (l *logFile) remove() { _ = os.Remove(l.name) }

// warnings returns the warnings of the gateway's modules.
func (l *logFile) warnings() (warnings []string) {
	f, err := os.Open(l.name)
	if err != nil {
		return nil
	}
	defer f.Close()
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		var entry map[string]any
		if json.Unmarshal(scanner.Bytes(), &entry) != nil {
			continue
		}
		module, _ := entry["logger"].(string)
		if !strings.Contains(module, "matrix_push") {
			continue
		}
		warning := fmt.Sprintf("%s: %v", module, entry["msg"])
		for _, name := range slices.Sorted(maps.Keys(entry)) {
			if !slices.Contains([]string{"level", "ts", "logger", "msg"}, name) {
				warning += fmt.Sprintf(", %s %v", name, entry[name])
			}
		}
		if !slices.Contains(warnings, warning) {
			warnings = append(warnings, warning)
		}
	}
	return warnings
}
