// Package providertest is for the tests of providers, this repository's and others': a conformance suite ([Run]), a push service
// that verifies what it receives ([PushService]), and servers with certificates of a throwaway authority ([NewTLSServer]).
package providertest
