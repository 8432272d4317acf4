package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	tokenFile   = "admin.token"
	addressFile = "http.address"
	maxSecret   = 64 << 10
	minToken    = 22 // base64 characters of 128 bits
	adminSecret = "admin_token"
)

// readSecrets returns the values of all secrets, or everything that is wrong
// with them. A file that everybody on the machine may read is refused.
func (c *Config) readSecrets() (map[string]string, error) {
	out := map[string]string{}
	var problems []error
	for name, s := range c.Secrets {
		v, err := s.read()
		if err != nil {
			problems = append(problems, fmt.Errorf("secrets.%s: %w", name, err))
			continue
		}
		out[name] = v
	}
	return out, errors.Join(problems...)
}

func (s Secret) read() (string, error) {
	if s.Env != "" {
		v, ok := os.LookupEnv(s.Env)
		if !ok || v == "" {
			return "", fmt.Errorf("the variable %s is not set", s.Env)
		}
		return v, nil
	}
	return readSecretFile(s.File)
}

// readSecretFile reads one line of text that nobody else may read. Permissions
// are those of the file that was opened, so that no swap goes unseen.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", path)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s may be read by everybody on this machine (mode %04o); chmod 600 it", path, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSecret {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecret)
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) == 0 {
		return "", fmt.Errorf("%s is empty", path)
	}
	return string(data), nil
}

// adminToken returns the administrator's token: the secret admin_token where it
// is configured, else the one in the data folder, which the first start makes
// there. file is where it lies, made whether that was done now. Of two
// processes that start at once, both get the same.
func (c *Config) adminToken(secrets map[string]string) (token, file string, made bool, err error) {
	if token, ok := secrets[adminSecret]; ok {
		return token, "", false, checkAdminToken("secrets."+adminSecret, token)
	}
	file = filepath.Join(c.Data, tokenFile)
	token, err = readSecretFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if made, err = makeToken(file); err == nil {
			token, err = readSecretFile(file)
		}
	}
	if err != nil {
		return "", file, false, err
	}
	return token, file, made, checkAdminToken(file, token)
}

func checkAdminToken(where, token string) error {
	if len(token) < minToken || strings.ContainsAny(token, " \t\r\n") {
		return fmt.Errorf("%s holds no good token: %d characters without spaces at least; delete it and a new one is made", where, minToken)
	}
	return nil
}

// makeToken writes a new token unless somebody else has done so meanwhile.
func makeToken(file string) (bool, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return false, err
	}
	var raw [32]byte
	rand.Read(raw[:])
	tmp, err := os.CreateTemp(filepath.Dir(file), tokenFile+".*") // mode 0600
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // where it stays, nobody may read it
	_, err = tmp.WriteString(base64.RawURLEncoding.EncodeToString(raw[:]) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return false, err
	}
	err = os.Link(tmp.Name(), file) // never over one that is there
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// noteAddress tells the tools on this machine, by a file in the data folder,
// where the server answers. The returned function takes that back.
func noteAddress(data, url string) (forget func(), err error) {
	file := filepath.Join(data, addressFile)
	if err := os.WriteFile(file, []byte(url+"\n"), 0o600); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(file) }, nil // the next start writes over it
}
