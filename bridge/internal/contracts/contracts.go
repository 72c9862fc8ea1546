// Package contracts has what others may rely on: the subjects, headers and payloads of the wire as
// an AsyncAPI 3 document, and the payloads as JSON Schemas (draft 2020-12).
package contracts

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

// AsyncAPI is the document. It refers to the schemas by "./schemas/NAME.json". Callers must not
// change it.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte

// The schemas are made of Go types and of their comments:
// go test ./bridge/internal/contracts -run TestSchemasAreUpToDate -update
//
//go:embed schemas/*.json
var schemas embed.FS

// Schemas returns the schemas by name, such as "archived".
func Schemas() map[string][]byte {
	all := map[string][]byte{}
	entries, _ := fs.ReadDir(schemas, "schemas") // which is in the program
	for _, e := range entries {
		all[strings.TrimSuffix(e.Name(), ".json")], _ = schemas.ReadFile(path.Join("schemas", e.Name()))
	}
	return all
}
