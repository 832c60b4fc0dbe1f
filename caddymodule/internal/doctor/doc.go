// Package doctor finds out why a user's phone does not ring. It asks the user's homeserver about the account, and the gateway about each of
// the account's pushers. The result is a [Report] with findings. Each finding has a code of the closed list in codes.go, which
// docs/doctor.md describes.
//
// It changes nothing, neither at the homeserver nor in the gateway. Only with [Options.Send], it sends test notifications, and with
// [Options.Prober], it makes a pusher and a room at the homeserver for some seconds.
package doctor
