package command

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // so every build can log as Caddy's configuration says
)

// quiet makes Caddy hold its log lines back until a configuration has set up logging. So they don't appear within a table.
func quiet() { caddy.BufferedLog() }

// logging returns a configuration that logs warnings and errors to a writer.
func logging(writer string) *caddy.Logging {
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{
			WriterRaw: json.RawMessage(writer), EncoderRaw: json.RawMessage(`{"format":"json"}`), Level: "WARN",
		}},
	}}
}
