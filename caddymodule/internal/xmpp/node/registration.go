package node

import (
	"encoding/hex"
	"errors"
	"math"
)

// maxToken limits a token, so a node is small enough for any server.
const maxToken = 2048

// The flags in front of a sealed registration. The lowest three bits are the way in which the token is packed.
const (
	flagWay     = 1<<3 - 1
	flagSecret  = 1 << 3
	flagAccount = 1 << 4
	flagChannel = 1 << 5
	flagsKnown  = flagWay | flagSecret | flagAccount | flagChannel
)

// hashSize is the size of an account's and a channel's hash, SHA-1.
const hashSize = 20

var (
	errRegistration = errors.New("a registration with these values cannot be sealed")
	errDecode       = errors.New("a sealed registration cannot be decoded")
)

// Registration is what a node contains.
type Registration struct {
	// App names the app. A short name keeps the node short.
	App string
	// Token is the device's token at the push service.
	Token string
	// Account and Channel are 40 hexadecimal digits by which a client recognises its account and a room; empty if there are none.
	Account, Channel string
	// Secret reports that whoever uses the node must know its secret.
	Secret bool
}

// encode returns the bytes of a registration, which are always the same for the same registration.
func (r *Registration) encode() ([]byte, error) {
	if r.App == "" || len(r.App) > math.MaxUint8 || r.Token == "" || len(r.Token) > maxToken {
		return nil, errRegistration
	}
	flags, packed := packToken(r.Token)
	if r.Secret {
		flags |= flagSecret
	}
	b := append([]byte{0, byte(len(r.App))}, r.App...)
	for _, h := range []struct {
		value string
		flag  byte
	}{{r.Account, flagAccount}, {r.Channel, flagChannel}} {
		if h.value == "" {
			continue
		}
		sum, err := hex.DecodeString(h.value)
		if err != nil || len(sum) != hashSize {
			return nil, errRegistration
		}
		flags |= h.flag
		b = append(b, sum...)
	}
	b[0] = flags
	return append(b, packed...), nil
}

func decode(b []byte) (r Registration, err error) {
	if len(b) < 2 || b[0]&^flagsKnown != 0 {
		return r, errDecode
	}
	flags, app, b := b[0], int(b[1]), b[2:]
	if len(b) < app {
		return r, errDecode
	}
	r.App, r.Secret, b = string(b[:app]), flags&flagSecret != 0, b[app:]
	for _, h := range []struct {
		value *string
		flag  byte
	}{{&r.Account, flagAccount}, {&r.Channel, flagChannel}} {
		if flags&h.flag == 0 {
			continue
		}
		if len(b) < hashSize {
			return r, errDecode
		}
		*h.value, b = hex.EncodeToString(b[:hashSize]), b[hashSize:]
	}
	r.Token, err = unpackToken(flags&flagWay, b)
	return r, err
}
