package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/matrix-push/caddy-matrix-push/caddymodule/internal/adminclient"
)

// adminPort is the port of an address without one: Caddy's default.
const adminPort = 2019

// The errors of an address do not show it, as a URL may contain a password.
var (
	errAddress = errors.New("is invalid: write host:port, or the path of a Unix socket such as /run/caddy/admin.sock")
	errHTTPS   = errors.New("uses https, but the admin API does not support TLS: write http://host:port or host:port")
)

// client returns a client for the admin API at the address that the flags give.
func (i *invocation) client() (*adminclient.Client, error) {
	to, err := i.adminAddress()
	if err != nil {
		return nil, err
	}
	return adminclient.New(to), nil
}

// adminAddress returns the address of the admin API that the flags give.
func (i *invocation) adminAddress() (caddy.NetworkAddress, error) {
	if i.address != "" {
		address, err := parseAddress(i.address)
		if err != nil {
			err = fmt.Errorf("--address %w", err)
		}
		return address, err
	}
	text, err := i.configuredAddress()
	if err != nil {
		return caddy.NetworkAddress{}, err
	}
	address, err := parseAddress(text)
	if err != nil {
		err = fmt.Errorf("the admin API's address in the configuration %w", err)
	}
	return address, err
}

// configuredAddress returns the address in the configuration file, or Caddy's default.
func (i *invocation) configuredAddress() (string, error) {
	if i.config == "" {
		return caddy.DefaultAdminListen, nil
	}
	quiet() // reading a configuration is logged
	loaded, _, _, err := caddycmd.LoadConfig(i.config, i.adapter)
	if err != nil {
		return "", fmt.Errorf("the admin API's address cannot be read from the configuration: %w", err)
	}
	var config struct {
		Admin struct {
			Disabled bool `json:"disabled"`
		} `json:"admin"`
	}
	if json.Unmarshal(loaded, &config) == nil && config.Admin.Disabled {
		return "", fmt.Errorf("%s turns off the admin API (admin off), but this command needs it", i.config)
	}
	return caddycmd.DetermineAdminAPIAddress("", loaded, i.config, i.adapter)
}

// parseAddress parses an address in Caddy's form, such as localhost:2019 or unix//run/caddy.sock, a URL, a port or the path of a socket.
func parseAddress(text string) (caddy.NetworkAddress, error) {
	address := strings.TrimSpace(text)
	scheme, rest, isURL := strings.Cut(address, "://")
	switch scheme = strings.ToLower(scheme); {
	case isURL && scheme == "https":
		return caddy.NetworkAddress{}, errHTTPS
	case isURL && scheme == "unix":
		address = "unix/" + rest
	case isURL && scheme == "http":
		parsed, err := url.Parse(address)
		if err != nil || parsed.User != nil || strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" {
			return caddy.NetworkAddress{}, errAddress
		}
		address = parsed.Host
	case isURL:
		return caddy.NetworkAddress{}, errAddress
	case filepath.IsAbs(address), strings.HasPrefix(address, "./"), strings.HasPrefix(address, "../"):
		address = "unix/" + address
	case strings.HasPrefix(address, "unix:"):
		address = "unix/" + strings.TrimPrefix(address, "unix:")
	case !strings.HasPrefix(address, "unix/"):
		address = strings.TrimRight(address, "/")
	}
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		address = ":" + address
	}
	to, err := caddy.ParseNetworkAddressWithDefaults(address, "tcp", adminPort)
	switch {
	case err != nil, address == "":
		return caddy.NetworkAddress{}, errAddress
	case to.IsUnixNetwork():
		to.Host, _, _ = strings.Cut(to.Host, "|") // the socket's permissions follow
		if to.Network != "unix" || to.Host == "" {
			return caddy.NetworkAddress{}, errAddress
		}
	case !strings.HasPrefix(to.Network, "tcp"), to.PortRangeSize() != 1, to.StartPort == 0, strings.ContainsAny(to.Host, "/@ "):
		return caddy.NetworkAddress{}, errAddress
	case to.Host == "":
		to.Host = "localhost"
	}
	return to, nil
}
