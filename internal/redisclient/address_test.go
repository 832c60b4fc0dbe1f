package redisclient

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/matrix-push/caddy-matrix-push/internal/caddyfileopt"
)

func cluster(s Servers) Address { return Address{Cluster: &Cluster{s}} }

func TestM09_AMistakeInTheAddressNamesItsOption(t *testing.T) {
	t.Parallel()
	sentinel := func(change func(*Sentinel)) Address {
		s := &Sentinel{Master: "m", Servers: Servers{Addresses: []string{"host:1"}}}
		change(s)
		return Address{Sentinel: s}
	}
	for _, tt := range []struct {
		name string
		at   Address
		want string
	}{
		{"nothing", Address{}, "url: is required, unless sentinel or cluster is set"},
		{"two addresses", Address{URL: "redis://host", Cluster: new(Cluster)}, "cluster, url: cannot be combined: set only one of them"},
		{"no name", sentinel(func(s *Sentinel) { s.Master = "" }), "sentinel: master: is required"},
		{"no sentinel", sentinel(func(s *Sentinel) { s.Addresses = nil }), "sentinel: addresses: is required"},
		{"no port", sentinel(func(s *Sentinel) { s.Addresses = []string{"host"} }), "sentinel: addresses: must each be host:port"},
		{"a URL in the list", cluster(Servers{Addresses: []string{"redis://:" + secret + "@host:1"}}), "cluster: addresses: must each be"},
		{"a negative database", sentinel(func(s *Sentinel) { s.Database = -1 }), "sentinel: database: must not be negative"},
		{"a user without a password", sentinel(func(s *Sentinel) { s.Username = "push" }), "sentinel: password: is required with username"},
		{
			"a user of sentinels without a password", sentinel(func(s *Sentinel) { s.SentinelUsername = "push" }),
			"sentinel: sentinel_password: is required with sentinel_username",
		},
		{"an empty placeholder", sentinel(func(s *Sentinel) { s.Password = "{env.MATRIX_PUSH_NEVER_SET}" }), "sentinel: password: "},
		{"a negative timeout", sentinel(func(s *Sentinel) { s.ReadTimeout = -1 }), "sentinel: read_timeout: must not be negative"},
		{"another negative timeout", cluster(Servers{Addresses: []string{"host:1"}, DialTimeout: -1}), "cluster: dial_timeout: must"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(tt.at)
			if err == nil {
				_ = c.Unload()
			}
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestM07_AnAddressIsShownWithoutItsPasswords(t *testing.T) {
	t.Setenv("MATRIX_PUSH_REDIS_PASSWORD", secret)
	servers := Servers{Addresses: []string{"one:1", "two:2"}, Username: "push", Password: "{env.MATRIX_PUSH_REDIS_PASSWORD}"}
	for _, tt := range []struct {
		at   Address
		want string
	}{
		{Address{Cluster: &Cluster{servers}}, "cluster at one:1, two:2"},
		{
			Address{Sentinel: &Sentinel{Master: "m", Database: 3, SentinelUsername: "gateway", SentinelPassword: secret, Servers: servers}},
			"sentinel m at one:1, two:2, database 3",
		},
	} {
		c := loadAt(t, tt.at)
		if got := c.Location(); got != tt.want || strings.Contains(c.Key, secret) {
			t.Errorf("it is at %s, want %s", got, tt.want)
		}
		if c.options.Username != "push" || c.options.Password != secret {
			t.Error("the placeholder is not replaced, or the user is another")
		}
		if tt.at.servers().Password == secret {
			t.Error("the placeholder in the configuration is replaced")
		}
	}
}

func TestAddressesThatDifferShareNoConnections(t *testing.T) {
	t.Parallel()
	one := []string{"one:1"}
	at := func(password string) Address { return cluster(Servers{Addresses: one, Password: password}) }
	if a, b, other := loadAt(t, at("a")), loadAt(t, at("a")), loadAt(t, at("b")); a != b || a == other || a.Key == other.Key {
		t.Error("shared otherwise")
	}
	if !loadAt(t, at("a")).Clustered() || loadAt(t, Address{URL: "redis://one:1"}).Clustered() {
		t.Error("only one of them is a cluster")
	}
	slow := Servers{Addresses: one, DialTimeout: caddy.Duration(3 * time.Second), ReadTimeout: caddy.Duration(2 * time.Second)}
	o := loadAt(t, cluster(slow)).options
	if o.DialTimeout != 3*time.Second || o.ReadTimeout != 2*time.Second || o.WriteTimeout != 2*time.Second || o.PoolTimeout != 2*time.Second {
		t.Errorf("dial %v, read %v, write %v, pool %v", o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout)
	}
}

func TestM09_TheBlockOfAStoreHasTheAddress(t *testing.T) {
	t.Parallel()
	const credentials = "\nusername u\npassword p\ndial_timeout 3s\nread_timeout 2s"
	for _, tt := range []struct{ name, in, want, err string }{
		{"a URL", `redis redis://host`, `{"url":"redis://host"}`, ""},
		{"a URL and TLS", "redis rediss://host {\ntls\n}", `{"url":"rediss://host","tls":{}}`, ""},
		{
			"sentinels", "redis {\nsentinel m a:1 b:2" + credentials + "\nsentinel_username v\nsentinel_password q\ndatabase 4\n}",
			`{"sentinel":{"master":"m","database":4,"sentinel_username":"v","sentinel_password":"q",` +
				`"addresses":["a:1","b:2"],"username":"u","password":"p","dial_timeout":3000000000,"read_timeout":2000000000}}`, "",
		},
		{
			"a cluster, its options in another order",
			"redis {" + credentials + "\ntls {\ntrusted_ca a\ncertificate_file b c\nserver_name d\n}\ncluster a:1\n}",
			`{"cluster":{"addresses":["a:1"],"username":"u","password":"p","dial_timeout":3000000000,"read_timeout":2000000000},` +
				`"tls":{"trusted_ca":"a","certificate_file":"b","certificate_key_file":"c","server_name":"d"}}`, "",
		},
		{"the default database", "redis {\nsentinel m a:1\ndatabase 0\n}", `{"sentinel":{"master":"m","addresses":["a:1"]}}`, ""},
		{"the store's option", "redis redis://host {\nown word\n}", `{"url":"redis://host"}`, ""},
		{"no address", "redis {\nusername u\n}", "", "wrong argument count: write box redis <url>, such as redis://"},
		{"two addresses", "redis redis://host {\ncluster a:1\n}", "", "box redis: a URL, sentinel and cluster cannot be combined"},
		{"sentinels and a cluster", "redis {\nsentinel m a:1\ncluster a:1\n}", "", "cannot be combined"},
		{"a user beside a URL", "redis redis://host {\nusername u\npassword p\n}", "", "with a URL, write the user, the password, the"},
		{"a database of a cluster", "redis {\ncluster a:1\ndatabase 1\n}", "", "database is only for the option sentinel"},
		{"sentinel twice", "redis {\nsentinel m a:1\nsentinel m a:1\n}", "", "sentinel is given twice"},
		{"sentinel without addresses", "redis {\nsentinel m\n}", "", "write sentinel <name of the primary> <host:port>..."},
		{"cluster without addresses", "redis {\ncluster\n}", "", "cluster: wrong argument count: write cluster <host:port>..."},
		{"a word for a database", "redis {\nsentinel m a:1\ndatabase x\n}", "", "database: is not the number of a database, such as 0"},
		{"tls twice", "redis rediss://host {\ntls\ntls\n}", "", "tls is given twice"},
		{"tls with an argument", "redis rediss://host {\ntls on\n}", "", "tls: wrong argument count"},
		{"an unknown option of tls", "redis rediss://host {\ntls {\nca a\n}\n}", "", `tls has no option "ca"`},
		{"three files", "redis rediss://host {\ntls {\ncertificate_file a b c\n}\n}", "", "write certificate_file <file> [<key file>]"},
		{"a certificate twice", "redis rediss://host {\ntls {\ncertificate_file a\ncertificate_file b\n}\n}", "", "file is given twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var a Address
			var own string
			err := Unmarshal(caddyfile.NewTestDispenser(tt.in), "box redis", &a, map[string]caddyfileopt.Option{"own": caddyfileopt.Text(&own)})
			switch got := string(caddyconfig.JSON(a, nil)); {
			case tt.err == "" && (err != nil || got != tt.want):
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}
