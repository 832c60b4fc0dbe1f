-- A Prosody that has the gateway's component, and no users. Other servers reach the component through the module s2s.
modules_enabled = { "disco"; "s2s"; "tls"; "dialback"; "ping" }
modules_disabled = { "c2s" }
log = { info = "*console" }
data_path = "/var/lib/prosody"
certificates = "certs"

component_ports = { 5347 }
component_interfaces = { "*" }
-- A restarted gateway may connect before Prosody has noticed that the old connection is gone.
component_conflict_resolve = "kick_old"

-- Prosody needs a host for users, even if there are none.
VirtualHost "localhost"

Component (ENV_PUSH_HOST)
	component_secret = ENV_XMPP_SECRET
