package command

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // the writers and encoders, whatever else the build has
)

// quiet has Caddy keep to itself what it logs until a configuration says where to: a log has no place between the lines of a table.
func quiet() { caddy.BufferedLog() }

// logging has Caddy log to a writer, warnings and worse.
func logging(writer string) *caddy.Logging {
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{
			WriterRaw: json.RawMessage(writer), EncoderRaw: json.RawMessage(`{"format":"json"}`), Level: "WARN",
		}},
	}}
}
