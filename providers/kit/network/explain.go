package network

// reasons are the reasons that [Failed] gives, with what they mean and what to do about them.
var reasons = map[string]string{
	"dns":          "the host's name could not be resolved: check it, and the server's DNS resolver",
	"network":      "the push service cannot be reached: check the firewall, and the options endpoint and proxy",
	"other_server": "the provider used a server other than its push service's, which is a bug: report it to its author",
	"timeout":      "the push service did not answer in time: check the firewall, and the options endpoint and proxy",
	"tls":          "the server's certificate is not trusted, or it does not speak TLS: set trusted_ca if a private authority issued it",
}

// Explain returns what a reason of [Failed] means and what to do about it; empty for other reasons. A provider's Explain may return it.
func Explain(reason string) string { return reasons[reason] }
