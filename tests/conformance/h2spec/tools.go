//go:build tools

// Package h2spec only pins the version of the conformance battery that install_h2spec.sh builds.
package h2spec

import _ "github.com/summerwind/h2spec/cmd/h2spec"
