package component

import (
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/ejabberdtest"
	"github.com/matrix-push/caddy-matrix-push/internal/test/xmpptest"
)

func TestX13_ARealEjabberdAcceptsASecondStreamBeforeTheFirstEnds(t *testing.T) {
	t.Parallel()
	s := ejabberdtest.Start(t)
	h, received := publishes()
	component := func(address, secret string) *running {
		r := run(t, nil, h, Options{JID: xmpptest.Component, Server: address, Secret: func() (string, error) { return secret, nil }})
		<-r.up
		return r
	}
	first := component(s.ComponentAddress, xmpptest.Secret)
	component(s.SecondAddress, ejabberdtest.SecondSecret)
	first.stop()
	s.WaitLog("Route unregistered: " + xmpptest.Component)
	s.AddUser("alice")
	s.AddUser("bob")
	alice := s.Login("alice")
	alice.EnablePush(xmpptest.Component, "tok", "")
	alice.Logout()
	s.Login("bob").Message("alice@"+xmpptest.Domain, "m", "hello")
	<-received
	s.WaitLog(ejabberdtest.Accepted)
}
