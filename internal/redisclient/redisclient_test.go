package redisclient

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matrix-push/caddy-matrix-push/internal/test/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	secret   = "s3cret"
	trialKey = "{matrix_push}:outbox:check"
)

func load(t *testing.T, url string) *Client {
	t.Helper()
	c, err := Load(Address{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Unload(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// probe returns the error and the log.
func probe(t *testing.T, url string) (string, error) {
	t.Helper()
	var log bytes.Buffer
	err := load(t, url).Probe(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), trialKey)
	return log.String(), err
}

func TestAWrongURLIsAnErrorWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"http://user:" + secret + "@host:6379",
		"user:" + secret + "@host:6379",
		secret,
		"redis://user:pa/" + secret + "@host:6379",
		"redis://user:pa#" + secret + "@host:6379",
		"redis://user:" + secret + "@host:port",
		"redis://user:" + secret + "@host/database",
		"redis://user:%" + secret + "@host",
		"redis://host?" + secret + "=1",
		"redis://host?read_timeout=" + secret,
		"{env.MATRIX_PUSH_NEVER_SET}",
		"{no.such}",
	} {
		c, err := Load(Address{URL: url})
		if err == nil {
			_ = c.Unload()
			t.Errorf("%s: no error", url)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestTheURLHasPlaceholders(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := load(t, "redis://push:{file."+file+"}@host:1234/5")
	if o := c.options; o.Addr != "host:1234" || o.Username != "push" || o.Password != secret || o.DB != 5 {
		t.Errorf("it is %s, user %s, database %d, or the password is another", o.Addr, o.Username, o.DB)
	}
	if strings.Contains(c.Key, secret) {
		t.Error("the key shows the password")
	}
}

func TestTheSameURLSharesItsConnections(t *testing.T) {
	t.Parallel()
	a, b, other := load(t, "redis://host:1"), load(t, "redis://host:1"), load(t, "redis://host:2")
	if a != b || a == other {
		t.Error("shared otherwise")
	}
}

func TestTimeoutsAreShortUnlessTheURLSaysOtherwise(t *testing.T) {
	t.Parallel()
	o := load(t, "redis://timeouts").options
	if o.DialTimeout != time.Second || o.ReadTimeout != 500*time.Millisecond || o.WriteTimeout != 500*time.Millisecond || o.MaxRetries > 0 {
		t.Errorf("dial %v, read %v, write %v, retries %d", o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.MaxRetries)
	}
	o = load(t, "redis://timeouts?dial_timeout=3s&read_timeout=2s").options
	if o.DialTimeout != 3*time.Second || o.ReadTimeout != 2*time.Second {
		t.Errorf("dial %v, read %v", o.DialTimeout, o.ReadTimeout)
	}
}

func TestWhatRedisRefusesIsAnErrorWithoutThePassword(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "right", "--databases", "2")
	path := strings.TrimPrefix(server.URL, "unix://")
	for name, tt := range map[string]struct{ url, want string }{
		"a wrong password": {"unix://default:" + secret + "@" + path, "correct the user or the password in the URL"},
		"a wrong user":     {"unix://" + secret + ":right@" + path, "correct the user or the password in the URL"},
		"no password":      {"unix://" + path, "correct the user or the password in the URL"},
		"no such database": {"unix://default:right@" + path + "?db=7", "use the number of a database that Redis has"},
		"the right one":    {"unix://default:right@" + path + "?db=1", ""},
	} {
		log, err := probe(t, tt.url)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: error %v, want %s", name, err, tt.want)
		case strings.Contains(log, secret), err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("%s: it is shown: %v, %s", name, err, log)
		}
	}
}

func TestARedisThatIsNotThereIsLogged(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"redis://user:" + secret + "@127.0.0.1:1", "unix://user:" + secret + "@" + filepath.Join(t.TempDir(), "none")} {
		log, err := probe(t, url)
		if err != nil || !strings.Contains(log, "cannot be reached") || !strings.Contains(log, "start Redis, or correct") || strings.Contains(log, secret) {
			t.Errorf("error %v, log %s", err, log)
		}
	}
}

func TestAUserWhoMayNotAskForSettingsIsLetThrough(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--user", "push", "on", ">right", "~*", "+@all", "-info")
	if _, err := probe(t, "unix://push:right@"+strings.TrimPrefix(server.URL, "unix://")); err != nil {
		t.Error(err)
	}
}

func TestSettingsThatLoseWhatWasAcceptedAreLogged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options []string
		want    []string
	}{
		"as recommended":        {nil, nil},
		"no append-only file":   {[]string{"--appendonly", "no"}, []string{"appendonly yes"}},
		"evicts":                {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, []string{"maxmemory-policy noeviction"}},
		"would, without bounds": {[]string{"--maxmemory-policy", "allkeys-lru"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, err := probe(t, redistest.Start(t, tt.options...).URL)
			if err != nil {
				t.Fatal(err)
			}
			if len(tt.want) == 0 && log != "" {
				t.Errorf("logged %s", log)
			}
			for _, want := range tt.want {
				if !strings.Contains(log, want) {
					t.Errorf("logged %q, want %s", log, want)
				}
			}
		})
	}
}

func TestAnAnswerThatTakesTooLongIsAnError(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := load(t, server.URL)
	if err := c.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	start := time.Now()
	err := c.Ping(context.Background()).Err()
	if took := time.Since(start); err == nil || !Unreachable(err) || took > 2*time.Second {
		t.Errorf("error %v after %v", err, took)
	}
}

func TestAPrefixHasNoBraces(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"": "matrix_push", "push": "push", "{push}": ""} {
		if got, err := CheckPrefix(prefix); got != want || (err != nil) != (want == "") {
			t.Errorf("%q is %q, %v", prefix, got, err)
		}
	}
}

func TestTheLocationHasNoPassword(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"redis://user:hunter2@redis.example.org:6380/2":       "redis.example.org:6380/2",
		"rediss://:hunter2@redis.example.org?read_timeout=2s": "redis.example.org:6379/0",
		"unix://user:hunter2@/run/redis.sock?db=1":            "unix:///run/redis.sock?db=1",
		"redis://[::1]/?password=hunter2&username=user&db=4":  "",
		"redis://hunter2@localhost:6379/0":                    "localhost:6379/0",
	} {
		c, err := Load(Address{URL: url})
		if want == "" {
			if err == nil {
				t.Errorf("%s is taken", url)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Location(); got != want {
			t.Errorf("%s is at %s, want %s", url, got, want)
		}
		if err := c.Unload(); err != nil {
			t.Error(err)
		}
	}
}
