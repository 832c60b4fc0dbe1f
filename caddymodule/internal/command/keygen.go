package command

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

func (p *program) vapidKeygen() *cobra.Command {
	return p.leaf("vapid-keygen <file>", "Generates a key for Web Push",
		`Generates a key for Web Push (VAPID, RFC 8292) and writes it to a new file, for
the option vapid_key_file. It prints the public key that browsers subscribe with.
Without vapid_key_file, the gateway generates its own key. You need this command
only if several gateways share a key, or to store the key in another place.`, 1, 1, keygen)
}

func keygen(i *invocation) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := private.PublicKey.Bytes()
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	name := i.args[0]
	if err := writeNew(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return err
	}
	key := base64.RawURLEncoding.EncodeToString(public)
	if i.json {
		return i.encode(map[string]string{"file": name, "public_key": key})
	}
	i.say(green, "The private key is in %s. Keep this file: subscriptions work only with this key.", name)
	i.say(plain, "Public key: %s", key)
	return nil
}

// writeNew writes a new file that only its owner can read.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s already exists: choose another file, because keys are never overwritten", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name)) // half a key is useless
	}
	return nil
}
