package redisclient

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Unreachable reports whether an error comes from the network, or from a server that cannot do anything at the moment. For example, it
// loads its data, or a failover is under way. It is not a refusal.
func Unreachable(err error) bool {
	var network net.Error
	switch {
	case refusedInTLS(err):
		return false
	case errors.As(err, &network), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errNotNow):
		return true
	default:
		return answered(err, unavailable...)
	}
}

// MayHaveArrived reports whether Redis may have done what it was asked to do, despite this error. It has not if it refused or redirected,
// or if there was no connection.
func MayHaveArrived(err error) bool {
	var refusal redis.Error
	var unsent notSent
	return !errors.As(err, &refusal) && !errors.As(err, &unsent) && !errors.Is(err, redis.ErrPoolTimeout) &&
		!errors.Is(err, redis.ErrPoolExhausted) && !errors.Is(err, redis.ErrClosed)
}

// errNotNow is for a state that ends without the operator, such as a failover.
var errNotNow = errors.New("a failover is under way, or servers are down")

var (
	// unavailable are the answers of servers that cannot do anything at the moment.
	unavailable = []string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "ERR max number of clients reached"}
	// readOnly are the answers of primaries that cannot write at the moment, for example because their memory is full.
	readOnly = []string{"OOM", "MISCONF", "NOREPLICAS"}
)

// answered reports whether the server's answer begins with one of the words, or contains it as an answer to a command of a script.
func answered(err error, words ...string) bool {
	var refusal redis.Error
	if !errors.As(err, &refusal) {
		return false
	}
	for _, word := range words {
		if strings.HasPrefix(refusal.Error(), word) || strings.Contains(refusal.Error(), "-"+word+" ") {
			return true
		}
	}
	return false
}

const permissions = "give the user the permissions in docs/redis.md"

// cured adds to an error how to change the configuration.
func (c *Client) cured(err error) error {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("%w: set trusted_ca in the option tls to the authority's file", err)
	case errors.As(err, &name):
		return fmt.Errorf("%w: set server_name in the option tls to a name in the certificate", err)
	case refusedInTLS(err):
		return fmt.Errorf("%w: set certificate_file in the option tls to a certificate that the server accepts", err)
	}
	credentials := "correct the options username and password"
	if c.address.URL != "" {
		credentials = "correct the user or the password in the URL"
	}
	for _, cure := range []struct{ answer, cure string }{
		{"WRONGPASS", credentials},
		{"NOAUTH", credentials + ", such as redis://:{env.REDIS_PASSWORD}@host:6379/0"},
		{"NOPERM", permissions},
		{"ERR The user executing the script can't run this command", permissions},
		{"ERR DB index is out of range", "use the number of a database that Redis has"},
		{"READONLY", "this server is a replica: write the address of the primary, or use the option sentinel"},
		{"MOVED", "this server is a node of a Redis Cluster: use the option cluster"},
		{"ERR This instance has cluster support disabled", "this server is not a node of a Redis Cluster: use the option url or sentinel"},
	} {
		if answered(err, cure.answer) {
			return fmt.Errorf("%w: %s", err, cure.cure)
		}
	}
	return err
}
