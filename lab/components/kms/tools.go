// A KMS plugin of the lab's own: it speaks v2 of Kubernetes' protocol on a socket, and its keys lie in a file, a line
// `ID BASE64` each. The first one encrypts; all decrypt. The file is read at each call: a rotation is another first line.
package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"k8s.io/kms/pkg/service"
)

// keys is the path of the file of keys.
type keys string

type key struct {
	id   string
	aead cipher.AEAD
}

func (path keys) read() ([]key, error) {
	text, err := os.ReadFile(string(path))
	if err != nil {
		return nil, err
	}
	var all []key
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		id, secret, found := strings.Cut(line, " ")
		if !found || id == "" {
			return nil, fmt.Errorf("%s: a line is no ID and key", path)
		}
		bytes, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			return nil, fmt.Errorf("%s: key %s: %w", path, id, err)
		}
		block, err := aes.NewCipher(bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: key %s: %w", path, id, err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("%s: key %s: %w", path, id, err)
		}
		all = append(all, key{id, aead})
	}
	return all, nil
}

func (path keys) Status(context.Context) (*service.StatusResponse, error) {
	all, err := path.read()
	if err != nil {
		return nil, err
	}
	return &service.StatusResponse{Version: "v2", Healthz: "ok", KeyID: all[0].id}, nil
}

func (path keys) Encrypt(_ context.Context, _ string, plain []byte) (*service.EncryptResponse, error) {
	all, err := path.read()
	if err != nil {
		return nil, err
	}
	first := all[0]
	nonce := make([]byte, first.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return &service.EncryptResponse{
		Ciphertext: first.aead.Seal(nonce, nonce, plain, []byte(first.id)),
		KeyID:      first.id,
	}, nil
}

func (path keys) Decrypt(_ context.Context, _ string, asked *service.DecryptRequest) ([]byte, error) {
	all, err := path.read()
	if err != nil {
		return nil, err
	}
	for _, own := range all {
		if own.id != asked.KeyID {
			continue
		}
		size := own.aead.NonceSize()
		if len(asked.Ciphertext) < size {
			return nil, errors.New("what is to be decrypted is too short")
		}
		nonce, rest := asked.Ciphertext[:size], asked.Ciphertext[size:]
		return own.aead.Open(nil, nonce, rest, []byte(own.id))
	}
	return nil, fmt.Errorf("there is no key %s", asked.KeyID)
}

func main() {
	socket := flag.String("socket", "", "where it listens")
	path := flag.String("keys", "", "the file of keys")
	flag.Parse()
	if _, err := keys(*path).read(); err != nil {
		log.Fatal(err)
	}
	// A socket that a killed one left would keep the next one from listening.
	if err := os.Remove(*socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Fatal(err)
	}
	log.Fatal(service.NewGRPCService(*socket, 5*time.Second, keys(*path)).ListenAndServe())
}
