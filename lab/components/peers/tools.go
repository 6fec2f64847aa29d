//go:build tools

// Package tools names the programs that the lab builds from this module.
package tools

import (
	_ "github.com/google/go-containerregistry/cmd/crane"
	_ "github.com/regclient/regclient/cmd/regctl"
	_ "oras.land/oras/cmd/oras"
)
