package telemetry

import (
	"runtime/debug"
	"testing"
)

func TestTheVersionIsThatOfTheModuleInTheBuild(t *testing.T) {
	t.Parallel()
	const module = "github.com/matrix-push/caddy-matrix-push"
	other := &debug.Module{Path: "example.org/other", Version: "v9.9.9"}
	for name, tt := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"xcaddy":               {debug.BuildInfo{Main: debug.Module{Path: "caddy"}, Deps: []*debug.Module{other, {Path: module, Version: "v0.2.1"}}}, "v0.2.1"},
		"xcaddy with a folder": {debug.BuildInfo{Deps: []*debug.Module{{Path: module, Version: "v0.0.0", Replace: &debug.Module{Path: "."}}}}, "(devel)"},
		"a fork":               {debug.BuildInfo{Deps: []*debug.Module{{Path: module, Version: "v0.2.1", Replace: &debug.Module{Path: "example.org/fork", Version: "v0.2.2"}}}}, "v0.2.2"},
		"a checkout":           {debug.BuildInfo{Main: debug.Module{Path: module, Version: "(devel)"}}, "(devel)"},
		"no such module":       {debug.BuildInfo{Deps: []*debug.Module{other}}, "(devel)"},
	} {
		if got := versionOf(&tt.info, module); got != tt.want {
			t.Errorf("%s: the version is %s, want %s", name, got, tt.want)
		}
	}
	if Version() == "" {
		t.Error("this build has no version")
	}
}
