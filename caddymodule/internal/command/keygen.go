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
	return p.leaf("vapid-keygen <file>", "Makes a key for Web Push", `Makes a key for Web Push (VAPID, RFC 8292) in a new file, for the option
vapid_key_file, and prints its public half, which browsers subscribe with. The
gateway makes one for itself without it: this is for one that several gateways
share, or that is kept elsewhere.`, 1, 1, keygen)
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
	i.say(green, "The key is in %s. Keep it: subscriptions are made for it alone.", name)
	i.say(plain, "Public key: %s", key)
	return nil
}

// writeNew writes a file that there is not yet, for its owner alone.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: a key is not overwritten", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name)) // half a key is none
	}
	return nil
}
