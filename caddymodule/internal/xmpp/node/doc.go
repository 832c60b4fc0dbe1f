// Package node seals the registration of an XMPP client into a node. The client gives the node to its server, which sends it with every
// push. So the gateway needs no database of devices, and can't lose a registration.
//
// # A node
//
//	s1.base64url( key id (4 bytes) | nonce (12) | AES-256-GCM( flags, app, account, channel, token ) )
//
// The node is bound to the domain of the server that may use it, but does not contain the domain. The nonce is a hash of what is sealed:
// while the key is the same, the same registration always gets the same node. Conversations registers each time it connects, and a server
// would keep a registration for each different node. For the same reason, there is no time in a node.
//
// Servers with a database limit a node. MongooseIM takes at most 250 characters, so the parts are packed: a node for a token of FCM with
// 163 characters has 245, if the app's name has three. ejabberd with MySQL compares only the first 191 characters, which is why the nonce
// comes first.
//
// A node that was registered as at p2 has a secret. It is a hash of the node, made with a key that only the gateway has. Whoever reads the
// node on its way can't use it without the secret.
//
// # Keys
//
// A [Ring] has the keys, which are in Caddy's storage, so gateways with the same storage share them. A ring has at most two keys. The newer
// makes nodes, and both open them. Only the operator rotates them. The ids of keys that were removed stay on record as retired: only a node
// of such a key is known to be dead. A key id that is not on record may come from a storage that was lost, or from another gateway. The
// node must stay registered until the operator has fixed that.
package node
