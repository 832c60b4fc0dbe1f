package telemetry

import (
	"maps"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// Setup is what the log shows about a configuration when it goes live. It contains no secrets.
type Setup struct {
	// Apps are the names of the providers, by the patterns of their apps.
	Apps map[string]string
	// Rejected and Outbox are the names of the stores, each followed by where the store keeps its data.
	Rejected, Outbox string
}

// Equal reports whether two setups are the same.
func (s *Setup) Equal(other *Setup) bool {
	return maps.Equal(s.Apps, other.Apps) && s.Rejected == other.Rejected && s.Outbox == other.Outbox
}

func (s *Setup) apps() zap.Field { return zap.Any("apps", s.Apps) }

func (s *Setup) stores() []zap.Field {
	return []zap.Field{zap.String("rejected", s.Rejected), zap.String("outbox", s.Outbox)}
}

// Started logs what has started with the process's first configuration.
func (o *Observer) Started(s *Setup) {
	caddyVersion, _ := caddy.Version()
	o.logger.Info("gateway started", zap.String("version", Version()), zap.String("caddy_version", caddyVersion))
	o.logger.Info("apps configured", s.apps())
	o.logger.Info("opened the stores for rejections and pending pushes", s.stores()...)
}

// SetupChanged logs what a later configuration has changed.
func (o *Observer) SetupChanged(s *Setup) {
	o.logger.Info("configuration reloaded; apps or stores changed", append(s.stores(), s.apps())...)
}

// Version returns the version of the gateway's module in this build, or (devel) if the module was built from a folder.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unversioned
	}
	module, _, _ := strings.Cut(reflect.TypeFor[Setup]().PkgPath(), "/caddymodule/")
	return versionOf(info, module)
}

const unversioned = "(devel)"

func versionOf(info *debug.BuildInfo, module string) string {
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path != module {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		if m.Version != "" {
			return m.Version
		}
	}
	return unversioned
}
