package e2e

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// largestCredential bounds the files that are looked into for credentials: a store is larger, or has none.
const largestCredential = 64 << 10

// configured notes the credentials in a configuration and in the files that it names.
func (l *ledger) configured(config string) {
	words := strings.FieldsFunc(config, func(c rune) bool { return strings.ContainsRune(" \t\r\n\"`{},", c) })
	for i, word := range words {
		if i > 0 && words[i-1] == "certificate_password" {
			l.note(aCredential, word)
		}
		if u, err := url.Parse(word); err == nil && u.User != nil {
			if password, ok := u.User.Password(); ok {
				l.note(aCredential, password)
			}
		}
		if path := strings.TrimPrefix(word, "file."); filepath.IsAbs(path) {
			l.file(path)
		}
	}
}

// file notes the credentials in a file, if there is one that can be read.
func (l *ledger) file(path string) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > largestCredential {
		return
	}
	if content, err := os.ReadFile(path); err == nil {
		l.credentials(content)
	}
}

// folder notes the credentials in a folder: those that a process made itself are there, too.
func (l *ledger) folder(dir string) {
	l.failed(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			l.file(path)
		}
		return err
	}))
}

// credentials notes the private keys in a text, which is PEM or one of Google's files, and what else such a file has.
func (l *ledger) credentials(text []byte) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			l.note(aCredential, string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})))
			l.note(aCredential, base64.StdEncoding.EncodeToString(block.Bytes)) // as it is without lines
		}
	}
	var file map[string]any
	if json.Unmarshal(text, &file) != nil {
		return
	}
	for _, name := range []string{"private_key", "private_key_id", "client_secret", "refresh_token"} {
		switch value, _ := file[name].(string); {
		case name == "private_key":
			l.credentials([]byte(value))
		case value != "":
			l.noteOpaque(aCredential, value)
		}
	}
}

// authorized notes what a request proved itself with.
func (l *ledger) authorized(h http.Header) {
	_, value, _ := strings.Cut(h.Get("Authorization"), " ")
	for _, token := range strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(" ,;", c) }) {
		if strings.HasPrefix(token, "k=") {
			continue // the public key, which the gateway tells everybody
		}
		token = strings.TrimPrefix(token, "t=")
		l.note(aToken, token)
		for _, part := range strings.Split(token, ".") {
			if len(part) >= 16 {
				l.note(aToken, part)
			}
		}
	}
}

// standing adds what no log has in any run: how each JWT and private key begins, and the mark of what must not be shown. The lock is held.
func (l *ledger) standing() {
	for _, header := range []string{`{"alg":`, `{"typ":`, `{"kid":`} {
		l.secrets[base64.RawURLEncoding.EncodeToString([]byte(header))[:9]] = aToken
	}
	l.secrets["PRIVATE KEY-----"] = aCredential
	l.secrets[secretMark] = "what must not be shown"
}
