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

// largestCredential is the size of the largest files that are searched for credentials. A store is larger, or has none.
const largestCredential = 64 << 10

// configured records the credentials in a configuration and in the files that it names.
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

// file records the credentials in a file, if the file can be read.
func (l *ledger) file(path string) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > largestCredential {
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if filepath.Base(path) == "probe.key" {
		l.note(aCredential, strings.TrimSpace(string(content)))
	}
	l.credentials(content)
}

// folder records the credentials in a folder. It also has those that a process made itself.
func (l *ledger) folder(dir string) {
	l.failed(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			l.file(path)
		}
		return err
	}))
}

// credentials records the private keys in a text, which is PEM or a file from Google, and other secrets in such a file.
func (l *ledger) credentials(text []byte) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			l.note(aCredential, string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})))
			l.note(aCredential, base64.StdEncoding.EncodeToString(block.Bytes)) // without line breaks
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

// authorized records the credentials of a request.
func (l *ledger) authorized(h http.Header) {
	_, value, _ := strings.Cut(h.Get("Authorization"), " ")
	for _, token := range strings.FieldsFunc(value, func(c rune) bool { return strings.ContainsRune(" ,;", c) }) {
		if strings.HasPrefix(token, "k=") {
			continue // the public key, which the gateway shows to everybody
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

// standing adds the texts that no log may have in any run: how each JWT and private key begins, and the mark of secrets. The lock must be
// held.
func (l *ledger) standing() {
	for _, header := range []string{`{"alg":`, `{"typ":`, `{"kid":`} {
		l.secrets[base64.RawURLEncoding.EncodeToString([]byte(header))[:9]] = aToken
	}
	l.secrets["PRIVATE KEY-----"] = aCredential
	l.secrets[secretMark] = "what must not be shown"
}
