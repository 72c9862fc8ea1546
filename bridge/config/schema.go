package config

import (
	"bytes"
	_ "embed" // the schema
)

// The schema is made of the types of this package and of their comments:
// go test ./bridge/config -run TestSchemaIsUpToDate -update
//
//go:embed schema.json
var schema []byte

// Schema returns the JSON Schema of the file (draft 2020-12), with which editors complete and
// check it. It has the keys, the form of values and most defaults; [Load] checks more.
func Schema() []byte { return bytes.Clone(schema) }
